"""Write a card as a CycloneDX 1.6 bill of materials with a model card.

It must not know HTTP. Figures are texts in CycloneDX; what it has no field for is in `properties`.
Source: https://cyclonedx.org/docs/1.6/json/.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from app.cards.columns import columns_of
from app.cards.facts import NOT_STATED, CardFacts, format_setting
from app.cards.limits import limits_of
from modelstore import Evaluation
from modelstore.intervals import wilson
from modelstore.records import Record

Document = dict[str, Any]


def write_bom(facts: CardFacts) -> Document:
    """Return the bill of materials: the model as its component, the libraries of its training as others."""
    manifest = facts.manifest
    libraries = [
        {"type": "library", "bom-ref": f"library:{name}", "name": name, "version": version}
        for name, version in manifest.lineage.libraries.items()
    ]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, f'{facts.title} {manifest.sha256}')}",
        "version": 1,
        "metadata": {
            "timestamp": manifest.created.isoformat(),
            "tools": {"components": [{"type": "application", "name": "tabserve", "version": manifest.lineage.code}]},
            "component": _component(facts),
        },
        "components": libraries,
    }


def _component(facts: CardFacts) -> Document:
    manifest, stated = facts.manifest, facts.statements
    owner, licence = stated["owner"], stated["licence"]
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model:{manifest.name}:{facts.version}",
        "name": manifest.name,
        "version": str(facts.version),
        "description": " ".join(filter(None, (manifest.description, facts.predicts))),
        "hashes": [{"alg": "SHA-256", "content": manifest.sha256}],
        **({"authors": [{"name": owner}]} if owner else {}),
        **({"licenses": [{"license": {"name": licence}}]} if licence else {}),
        "modelCard": {
            "bom-ref": f"card:{manifest.name}:{facts.version}",
            "modelParameters": _parameters(facts),
            "quantitativeAnalysis": {
                "performanceMetrics": list(_metrics(facts)),
                "graphics": {"collection": [{"name": f"plots/{file}"} for file in facts.pictures]},
            },
            "considerations": _considerations(facts),
            "properties": list(_properties(facts)),
        },
    }


def _parameters(facts: CardFacts) -> Document:
    manifest = facts.manifest
    sensitive = facts.stated.or_else(manifest.card).sensitive_columns
    contents = [
        {"name": name, "value": ", ".join(filter(None, (kind, unit, values, f"{gaps} gaps")))}
        for name, kind, unit, values, gaps in columns_of(manifest.features)
    ]
    dataset = {
        "type": "dataset",
        "contents": {"properties": contents},
        "description": facts.split,
        **({"sensitiveData": list(sensitive)} if sensitive else {}),
    }
    hashes = manifest.lineage.data_sha256
    return {
        "approach": {"type": "supervised"},
        "task": manifest.task,
        "architectureFamily": facts.learner,
        "datasets": [
            {**dataset, "bom-ref": f"data:{file}", "name": f"{file} (sha256 {sha256})"}
            for file, sha256 in hashes.items()
        ],
        "inputs": [{"format": f"{one.name}: {one.type}"} for one in manifest.features],
        "outputs": [{"format": "a probability for each class"}] if manifest.classes else [{"format": "a number"}],
    }


def _metrics(facts: CardFacts) -> Iterator[Document]:
    """Yield the figures of all splits, by class, of live labels and of slices, with intervals where there are any."""
    for split, found in facts.manifest.metrics.items():
        intervals = (found.intervals or {}) if isinstance(found, Evaluation) else {}
        limits = {name.replace("_", " ").lower(): pair for name, pair in intervals.items()}
        for metric in found.figures:
            yield _metric(metric.name, metric.value, split, limits.get(metric.name.lower()))
        if split == "test" and isinstance(found, Evaluation):
            for name, report in found.per_class.items():
                for figure in ("precision", "recall", "f1"):
                    yield _metric(figure, getattr(report, figure), f"test, class {name}")
    if facts.live:
        where = f"live, {facts.live.labels} labels of {facts.live.days} days"
        for name, value in facts.live.figures.items():
            yield _metric(name, value, where, facts.live.intervals.get(name))
    conformal = facts.manifest.conformal
    for level, (hits, rows) in conformal.test_coverage.items() if conformal else ():
        yield _metric(f"coverage of level {level}", hits / rows, "test", wilson(hits / rows, rows))
    slices = facts.manifest.slices
    for column, parts in slices.columns.items() if slices else ():
        for part in parts:
            assert slices
            where = f"test, {column} = {part.values}, {part.rows} rows"
            yield _metric(slices.figure, part.figure, where, part.interval)


def _metric(name: str, value: float, where: str, interval: tuple[float, float] | None = None) -> Document:
    found = {"type": name, "value": repr(value), "slice": where}
    if interval is None:
        return found
    low, high = map(repr, interval)
    return found | {"confidenceInterval": {"lowerBound": low, "upperBound": high}}


def _considerations(facts: CardFacts) -> Document:
    stated = facts.statements
    affected, risks = stated["affected_people"], stated["risks"]
    use = stated["intended_use"]
    return {
        **({"useCases": [use]} if use else {}),
        "technicalLimitations": limits_of(facts),
        **({"ethicalConsiderations": [{"name": risks}]} if risks else {}),
        **({"fairnessAssessments": [{"groupAtRisk": affected}]} if affected else {}),
    }


def _properties(facts: CardFacts) -> Iterator[Document]:
    manifest, lineage = facts.manifest, facts.manifest.lineage
    pairs: dict[str, object] = {f"stated:{name}": text or NOT_STATED for name, text in facts.statements.items()}
    pairs |= {f"setting:{name}": value for name, value in facts.settings.items()}
    pairs |= {f"left_out:{column.name}": f"{column.reason}: {column.detail}" for column in manifest.left_out}
    pairs |= {f"class:{place}": name for place, name in enumerate(manifest.classes)}
    if manifest.gate:
        pairs |= {"gate:passed": manifest.gate.passed, "gate:reason": manifest.gate.reason}
    for name in ("temperature", "decision", "abstain", "conformal", "importance", "leaders"):
        if (value := getattr(manifest, name)) is not None:
            pairs[name] = value if isinstance(value, float) else _dump(value)
    pairs |= {"lineage:parent": lineage.parent, "lineage:job": lineage.job, "lineage:seed": lineage.seed}
    pairs |= {"lineage:feedback": lineage.feedback and lineage.feedback.describe()}
    pairs |= {"active": facts.active, "request": facts.request}
    for name, value in pairs.items():
        if value is not None:
            yield {"name": f"tabserve:{name}", "value": format_setting(value)}


def _dump(record: Record) -> Document:
    """Return a record as JSON values, without the hundreds of scores of prediction sets."""
    return record.model_dump(mode="json", exclude_none=True, exclude={"scores", "per_class", "spread"})
