"""Arrange the facts of a card in sections; it must not know how these are written."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from app.cards.blocks import Block, Command, Listing, Paragraph, Pictures, Section, Table
from app.cards.columns import columns_of
from app.cards.facts import NOT_STATED, CardFacts, format_setting
from app.cards.limits import limits_of
from modelstore import Evaluation
from modelstore.evaluation import format_figure, format_interval
from modelstore.intervals import wilson


def sections_of(facts: CardFacts) -> list[Section]:
    """Return the sections of a card, without those that have nothing to say."""
    makers: dict[str, Callable[[CardFacts], Iterator[Block]]] = {
        "What it predicts": _identity,
        "What people state": _statements,
        "Limits": _limits,
        "Data": _data,
        "Columns": _columns,
        "Training": _training,
        "Figures": _figures,
        "Figures by class": _by_class,
        "Figures on parts of the test rows": _slices,
        "Live figures": _live,
        "Calibration and coverage": _calibration,
        "Importance of columns": _importance,
        "Decision": _decision,
        "Gate": _gate,
        "Lineage": _lineage,
        "Pictures": _pictures,
        "How to call it": _request,
    }
    sections = [Section(title, list(make(facts))) for title, make in makers.items()]
    return [section for section in sections if section.blocks]


def _identity(facts: CardFacts) -> Iterator[Block]:
    manifest = facts.manifest
    if manifest.description:
        yield Paragraph(manifest.description)
    yield Paragraph(facts.predicts)
    if manifest.classes:
        yield Listing(manifest.classes)
    yield Table(
        ("", ""),
        (
            ("model", manifest.name),
            ("version", str(facts.version)),
            ("active", "yes" if facts.active else "no"),
            ("task", manifest.task),
            ("created", manifest.created.isoformat()),
            ("sha256 of model.pt", manifest.sha256),
            ("size", f"{manifest.size_bytes} bytes"),
        ),
    )


def _statements(facts: CardFacts) -> Iterator[Block]:
    rows = [(name.replace("_", " "), text or NOT_STATED) for name, text in facts.statements.items()]
    yield Table(("field", "statement"), rows)


def _limits(facts: CardFacts) -> Iterator[Block]:
    yield Listing(limits_of(facts))


def _data(facts: CardFacts) -> Iterator[Block]:
    manifest = facts.manifest
    yield Table(("file", "sha256"), list(manifest.lineage.data_sha256.items()))
    yield Table(("rows", "number"), [(split, str(found.rows)) for split, found in manifest.metrics.items()])
    yield Paragraph(facts.split)
    if manifest.target and manifest.target.missing:
        yield Paragraph(f"{manifest.target.missing} rows without a target were left out.")
    if manifest.warnings:
        yield Paragraph("Warnings of the training:")
        yield Listing(manifest.warnings)


def _columns(facts: CardFacts) -> Iterator[Block]:
    yield Table(("column", "type", "unit", "training rows have", "gaps"), columns_of(facts.manifest.features))
    if facts.manifest.left_out:
        yield Paragraph("Columns of the table that the model does not use:")
        yield Table(("column", "reason", "detail"), [(c.name, c.reason, c.detail) for c in facts.manifest.left_out])


def _training(facts: CardFacts) -> Iterator[Block]:
    yield Paragraph(f"Learner: {facts.learner}.")
    settings = [
        (name, format_setting(value))
        for name, value in facts.settings.items()
        if name != "learner" and value is not None
    ]
    if settings:
        yield Table(("setting", "value"), settings)
    if search := facts.manifest.search:
        best = search.trials[search.best].text
        yield Paragraph(f"{len(search.trials)} settings were tried, judged by {search.judged_by}; the best: {best}.")
    board = facts.manifest.leaders
    if board is None:
        return
    yield Paragraph(f"The model beside its members and baselines, on {board.rows} test rows: {board.conclusion}")
    names = [metric.name for metric in board.leaders[0].figures.headline]
    rows = [
        (one.name, one.role, *(metric.text for metric in one.figures.headline), f"{one.train_s:.1f}")
        for one in board.leaders
    ]
    yield Table(("model", "role", *names, "seconds of training"), rows)


def _figures(facts: CardFacts) -> Iterator[Block]:
    for split, found in facts.manifest.metrics.items():
        intervals = found.intervals or {} if isinstance(found, Evaluation) else {}
        limits = {name.replace("_", " ").lower(): format_interval(pair) for name, pair in intervals.items()}
        rows = [(metric.name, metric.text, limits.get(metric.name.lower(), "")) for metric in found.figures]
        yield Paragraph(f"On {found.rows} {split} rows:")
        yield Table(("figure", "value", "95 % interval"), rows)


def _by_class(facts: CardFacts) -> Iterator[Block]:
    test = facts.manifest.metrics.get("test")
    if not isinstance(test, Evaluation):
        return
    rows = [
        (name, str(one.support), format_figure(one.precision), format_figure(one.recall), format_figure(one.f1))
        for name, one in test.per_class.items()
    ]
    yield Table(("class", "test rows", "precision", "recall", "F1"), rows)


def _slices(facts: CardFacts) -> Iterator[Block]:
    slices = facts.manifest.slices
    if slices is None:
        return
    yield Paragraph(f"The {slices.figure} on parts of {slices.rows} test rows, with intervals of 95 %.")
    rows = [
        (name, part.values, str(part.rows), format_figure(part.figure), format_interval(part.interval))
        for name, parts in slices.columns.items()
        for part in parts
    ]
    yield Table(("column", "values", "rows", slices.figure, "95 % interval"), rows)
    if slices.left_out:
        yield Paragraph(f"{slices.left_out} less important columns are not shown.")


def _live(facts: CardFacts) -> Iterator[Block]:
    if facts.live is None:
        return
    yield Paragraph(f"Labels that came for answers of the last {facts.live.days} days: {facts.live.labels}.")
    limits = {name: format_interval(pair) for name, pair in facts.live.intervals.items()}
    rows = [
        (name.replace("_", " "), format_figure(value), limits.get(name, ""))
        for name, value in facts.live.figures.items()
    ]
    yield Table(("figure", "value", "95 % interval"), rows)


def _calibration(facts: CardFacts) -> Iterator[Block]:
    manifest = facts.manifest
    test = manifest.metrics.get("test")
    if isinstance(test, Evaluation):
        said = f"Calibration error on the test rows: {format_figure(test.calibration_error)}"
        if test.calibration_band:
            band = format_interval(test.calibration_band)
            said += f"; of a perfectly calibrated model it would be {band} in 95 of 100 cases"
        yield Paragraph(f"{said}.")
    if manifest.temperature:
        yield Paragraph(f"The logits are divided by {manifest.temperature:.4g}, so that probabilities are true.")
    if found := manifest.conformal:
        what = "sets" if manifest.classes else "intervals"
        said = f"Prediction {what} of any level can be asked for, by scores of {found.rows} rows ({found.source})"
        yield Paragraph(f"{said}; the guarantee is {found.guarantee}.")
        covered = [
            (level, format_figure(hits / rows), format_interval(wilson(hits / rows, rows)))
            for level, (hits, rows) in found.test_coverage.items()
        ]
        yield Table(("level", "coverage of test rows", "95 % interval"), covered)


def _importance(facts: CardFacts) -> Iterator[Block]:
    found = facts.manifest.importance
    if found is None:
        return
    what = found.figure.replace("_", " ")
    yield Paragraph(f"Rise of the {what} where a column is shuffled {found.repeats} times, on {found.rows} test rows.")
    listed = [*found.columns.items(), *((" and ".join(one.columns), one) for one in found.together)]
    rows = [(name, format_figure(one.mean), format_interval(one.interval)) for name, one in listed]
    yield Table(("column", "rise", "95 % interval"), rows)


def _decision(facts: CardFacts) -> Iterator[Block]:
    manifest = facts.manifest
    if manifest.abstain:
        rules = [f"{name.replace('_', ' ')}: {format_setting(value)}" for name, value in manifest.abstain if value]
        yield Paragraph(f"Nothing is decided where a row is uncertain ({', '.join(rules)}).")
    if manifest.task == "regression":
        return
    if manifest.decision is None:
        yield Paragraph("The label is the most probable class.")
        return
    yield Paragraph(f"The label is not the most probable class: it is chosen by {manifest.decision.policy}.")
    if manifest.decision.rows:
        yield Paragraph(f"That was chosen on {manifest.decision.rows} rows.")
    if manifest.decision.threshold is not None:
        yield Paragraph(f"{manifest.classes[1]!r} is answered from {manifest.decision.threshold:g} on.")
    elif manifest.decision.costs:
        rows = [
            (name, *map(format_figure, costs))
            for name, costs in zip(manifest.classes, manifest.decision.costs, strict=True)
        ]
        yield Paragraph("Cost of each answer (column) by the truth (row):")
        yield Table(("truth", *manifest.classes), rows)


def _gate(facts: CardFacts) -> Iterator[Block]:
    gate = facts.manifest.gate
    if gate is None:
        return
    verdict = "passed" if gate.passed else "did not pass"
    yield Paragraph(f"The version {verdict} ({gate.policy}): {gate.reason}")
    rows = [(name.replace("_", " "), format_setting(value)) for name, value in gate if isinstance(value, int | float)]
    yield Table(("", "value"), [row for row in rows if row[0] != "passed"])


def _lineage(facts: CardFacts) -> Iterator[Block]:
    lineage = facts.manifest.lineage
    rows = [
        ("parent", f"version {lineage.parent}" if lineage.parent else "none"),
        ("training job", lineage.job or "none"),
        ("rows of feedback", lineage.feedback.describe() if lineage.feedback else "none"),
        ("seed", str(lineage.seed)),
        ("ended early", "yes" if lineage.stopped else "no"),
        ("Tabserve", lineage.code),
        *lineage.libraries.items(),
    ]
    yield Table(("", "value"), rows)


def _pictures(facts: CardFacts) -> Iterator[Block]:
    if facts.pictures:
        yield Pictures(facts.pictures)


def _request(facts: CardFacts) -> Iterator[Block]:
    if facts.request:
        yield Command(facts.request)
