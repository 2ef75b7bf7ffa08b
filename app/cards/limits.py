"""Say in words where a version's figures end; it must not know any format."""

from __future__ import annotations

from collections.abc import Iterator

from app.cards.facts import CardFacts
from modelstore import CategoricalFeature, Evaluation, Slice, Slices

FEW_TEST_ROWS = 100
FEW_CLASS_ROWS = 30
RARE_SHARE = 0.05
FEW_SLICE_ROWS = 10
MOST_NAMED = 10


def limits_of(facts: CardFacts) -> list[str]:
    """Return sentences about the limits of a version, the general ones first."""
    return [*_of_ranges(facts), *_of_tests(facts), *_of_classes(facts), *_of_slices(facts.manifest.slices)]


def _of_ranges(facts: CardFacts) -> Iterator[str]:
    manifest = facts.manifest
    refused = "refused unless a request says otherwise" if manifest.strict else "answered with a warning"
    yield (
        f"Values outside the training ranges, unseen categories and unusual gaps are {refused}; "
        "no figure of this card tells how good such answers are."
    )
    rest = [f.name for f in manifest.features if isinstance(f, CategoricalFeature) and f.other]
    if rest:
        yield f"Rare and unseen values are one category to the model, in {_list(rest)}."
    if facts.source and not facts.source.get("split") and not facts.source.get("test_file"):
        yield (
            "Training and test rows were drawn from the same table: "
            "the figures say nothing about rows from elsewhere or from later."
        )


def _of_tests(facts: CardFacts) -> Iterator[str]:
    test = facts.manifest.metrics.get("test")
    if test is None:
        yield "There are no figures on test rows."
    elif test.rows < FEW_TEST_ROWS:
        yield f"There are only {test.rows} test rows, so every figure is rough: see its interval."
    if facts.manifest.gate and not facts.manifest.gate.passed:
        yield f"The gate did not pass this version: {facts.manifest.gate.reason}"


def _of_classes(facts: CardFacts) -> Iterator[str]:
    test = facts.manifest.metrics.get("test")
    if not isinstance(test, Evaluation):
        return
    counts = {name: report.support for name, report in test.per_class.items()}
    missing = [name for name, rows in counts.items() if not rows]
    few = [f"{name!r} ({rows})" for name, rows in counts.items() if 0 < rows < FEW_CLASS_ROWS]
    rare = [name for name, rows in counts.items() if 0 < rows < RARE_SHARE * test.rows]
    if missing:
        yield f"No test row is of {_list(missing)}: nothing is measured about such rows."
    if few:
        yield f"Classes with fewer than {FEW_CLASS_ROWS} test rows, whose recall and precision are rough: {_some(few)}."
    if rare:
        yield f"Rare classes, below {RARE_SHARE:.0%} of the test rows, on which accuracy hardly depends: {_list(rare)}."


def _of_slices(slices: Slices | None) -> Iterator[str]:
    """Yield the parts of the test rows on which the model is surely worse than on all, and those of few rows."""
    if slices is None:
        return
    target, *features = slices.columns.items()
    whole = _mean(slices, target[1])
    worse, few = [], []
    for name, parts in features:
        for part in parts:
            shown = f"{name} = {part.values} ({part.figure:.3g}, rows: {part.rows})"
            if part.rows < FEW_SLICE_ROWS:
                few.append(shown)
            elif part.interval and _is_worse(part, slices.figure, whole):
                worse.append(shown)
    if worse:
        yield f"Parts of the test rows with a worse {slices.figure} than all of them ({whole:.3g}): {_some(worse)}."
    if few:
        yield f"Parts with fewer than {FEW_SLICE_ROWS} test rows, about which little is known: {_some(few)}."


def _is_worse(part: Slice, figure: str, whole: float) -> bool:
    """Return whether the interval of a slice lies wholly on the worse side of the figure of all rows."""
    assert part.interval
    low, high = part.interval
    return high < whole if figure == "accuracy" else low > whole


def _mean(slices: Slices, parts: tuple[Slice, ...]) -> float:
    """Return the figure on all rows; the slices of the target are all of them."""
    power = 1.0 if slices.figure == "accuracy" else 2.0
    rows = sum(part.rows for part in parts)
    return float((sum(part.rows * part.figure**power for part in parts) / rows) ** (1 / power))


def _list(names: list[str]) -> str:
    return _some([repr(name) for name in names])


def _some(texts: list[str]) -> str:
    more = f" and {len(texts) - MOST_NAMED} more" if len(texts) > MOST_NAMED else ""
    return ", ".join(texts[:MOST_NAMED]) + more
