"""The manifest: what it keeps and refuses, and that its bytes do not change by accident."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from modelstore import (
    MIN_GOLDEN_ROWS,
    BooleanFeature,
    CardStatements,
    CategoricalFeature,
    DatetimeFeature,
    GoldenRows,
    LeftOut,
    Manifest,
    OnnxFile,
    Signature,
    Slice,
    Slices,
    Target,
)
from modelstore.dialect import USUAL, Dialect
from modelstore.importance import ColumnImportance, Importance, JointImportance
from modelstore.trust import Background, Conformal, Decision
from tests.modelstore.samples import EVALUATION, GOLDEN_FILE, petal, sample_manifest, sample_regression, sample_with

FORMAT_1_FILE = Path(__file__).with_name("manifest.format1.json")


def test_manifest_survives_the_way_to_json_and_back() -> None:
    manifest = sample_manifest()
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_manifest_bytes_are_pinned() -> None:
    """Another byte here is another format: think of the stores that exist, then of `format_version`."""
    assert sample_manifest().to_json() == GOLDEN_FILE.read_bytes()


def test_pinned_bytes_are_read_by_this_version() -> None:
    assert Manifest.from_json(GOLDEN_FILE.read_bytes()) == sample_manifest()


def test_optional_fields_may_be_absent() -> None:
    whole = sample_manifest(gate=None, baselines={}, description="")
    short = whole.model_dump_json(exclude={"gate", "baselines", "description", "format_version", "platform"})
    assert Manifest.from_json(short.encode()) == whole


def test_a_manifest_of_format_1_gives_the_same_features_which_cannot_be_missing() -> None:
    old = Manifest.from_json(FORMAT_1_FILE.read_bytes())

    assert old == sample_manifest(format_version=1)
    assert (old.takes_missing, sample_manifest().takes_missing) == (False, True)
    assert Manifest.from_json(old.to_json()) == old


def test_a_manifest_keeps_every_type_of_column_and_all_that_later_steps_need() -> None:
    features = (
        petal("petal length", 0.5),
        CategoricalFeature(name="soil", categories={"clay": 20, "sand": 7}, other=3, missing=2),
        BooleanFeature(name="wild", true_values=("yes",), false_values=("no",), true=10, false=22),
        DatetimeFeature(name="found", min="2019-01-01", max="2020-12-31T23:59:59", quantiles=(18000.0,) * 9),
    )
    rows = tuple((n / 4, None, 1.0, 18000.0, 59.0) for n in range(MIN_GOLDEN_ROWS))
    share = ColumnImportance(mean=0.4, interval=(0.3, 0.5))
    both = JointImportance(columns=("soil", "wild"), mean=0.5, interval=(0.3, 0.7))
    whole = sample_manifest(
        features=features,
        signature=Signature.for_output("probabilities", 2, cells=5),
        target=Target(name="species", missing=3),
        left_out=(LeftOut(name="id", reason="id", detail="'id' is different in each of 32 rows"),),
        golden=GoldenRows(features=rows, outputs=sample_manifest().golden.outputs),
        decision=Decision(threshold=0.3, maximise="f1", rows=80),
        temperature=1.25,
        metrics={"test": EVALUATION.model_copy(update={"calibration_band": (0.0, 0.1), "roc_auc": 0.9})},
        conformal=Conformal(score="lac", rows=2, source="split", guarantee="marginal", scores=(0.1, 0.7)),
        background=Background(rows=rows[:1], weights=(1.0,)),
        importance=Importance(figure="log_loss", rows=30, repeats=30, columns={"soil": share}, together=(both,)),
        card=CardStatements(intended_use="herbaria", review_date=date(2027, 1, 2)),
        slices=Slices(
            figure="accuracy", rows=8, columns={"species": (Slice(values="virginica", rows=4, figure=0.75),)}
        ),
        onnx=OnnxFile.of(b"a graph", opset=20),
    )

    assert Manifest.from_json(whole.to_json()) == whole
    assert whole.width == 5
    assert b'"trueValues"' in whole.to_json()


def test_a_regression_has_a_target_and_no_classes() -> None:
    whole = sample_regression()

    assert Manifest.from_json(whole.to_json()) == whole
    with pytest.raises(ValidationError, match="needs a target with its distribution"):
        sample_regression(target=Target(name="weight"))
    with pytest.raises(ValidationError, match="must be those of a regression"):
        sample_regression(metrics={"test": EVALUATION})


def test_manifest_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        sample_manifest().name = "other"  # type: ignore[misc]


def test_feature_names_keep_the_column_order() -> None:
    assert sample_manifest().feature_names == ("petal length", "petal width")


NAN = float("nan")

RULES = [
    # what is broken, where, with what, what the message must say
    ("a later format", "format_version", 3, "Input should be 1 or 2"),
    ("another platform", "platform", "onnx", "pytorch_torchscript"),
    ("an unknown field", "colour", "blue", "Extra inputs are not permitted"),
    ("a number as text", "size_bytes", "40", "valid integer"),
    ("an empty file", "size_bytes", 0, "greater than or equal to 1"),
    ("a path as name", "name", "../petals", "should match pattern"),
    ("a name with a line feed", "name", "petals\n", "should match pattern"),
    ("a hash in capitals", "sha256", "A" * 64, "should match pattern"),
    ("a time without zone", "created", "2026-01-02T03:04:05", "timezone"),
    ("a time as number", "created", 1767323045, "valid datetime"),
    ("one class", "classes", ["virginica"], "each golden answer needs 1 outputs"),
    ("no feature", "features", [], "at least 1 item"),
    ("no metrics", "metrics", {}, "at least 1 item"),
    ("a class too many", "classes", ["a", "b", "c"], "each golden answer needs 3 outputs"),
    ("a signature of other width", "signature.inputs.0.shape", [-1, 3], "signature does not fit"),
    ("a signature of other outputs", "signature.outputs.0.name", "logits", "signature does not fit"),
    ("equal class names", "classes", ["a", "a"], "class names must be distinct"),
    ("equal feature names", "features.1.name", "petal length", "feature names must be distinct"),
    ("a maximum below the deciles", "features.0.max", 0.0, "'petal length': min, quantiles and max must ascend"),
    ("a minimum above the deciles", "features.0.min", 9.0, "must ascend"),
    ("eight deciles", "features.0.quantiles", [1.0] * 8, "at least 9 items"),
    ("a negative spread", "features.0.std", -1.0, "greater than or equal to 0"),
    ("a mean that is no number", "features.0.mean", NAN, "finite number"),
    ("31 golden rows", "golden.features", [[0.0, 0.0]] * 31, "at least 32 golden rows with as many answers"),
    ("golden rows without answers", "golden.outputs", [], "at least 32 golden rows with as many answers"),
    ("a narrow golden row", "golden.features.7", [0.0], "each golden row needs 2 cells"),
    ("a wide golden answer", "golden.outputs.7", [0.5, 0.25, 0.25], "each golden answer needs 2 outputs"),
    ("a golden answer of sum 1.5", "golden.outputs.7", [0.75, 0.75], "each golden answer must sum to 1"),
    ("a golden row with a bare NaN", "golden.features.7.0", NAN, "finite number"),
    ("a loose tolerance", "golden.tolerance", 0.01, "at most 0.001"),
    ("metrics under another split", "metrics.test.split", "train", r"metrics\['test'\] must be of that split"),
    ("a confusion of other size", "metrics.test.confusion", [[8]], "its confusion 2 x 2"),
    ("a ragged confusion", "metrics.test.confusion.1", [8], "its confusion 2 x 2"),
    ("an accuracy above 1", "metrics.test.accuracy", 1.5, "less than or equal to 1"),
    ("a loss that is no number", "metrics.test.log_loss", NAN, "finite number"),
    ("an unknown gate policy", "gate.policy", "sometimes", "if_better"),
    ("a gate loss that is no number", "gate.active_log_loss", NAN, "finite number"),
    ("a negative seed", "lineage.seed", -1, "greater than or equal to 0"),
    ("a data hash that is none", "lineage.data_sha256", {"petals.csv": ""}, "should match pattern"),
]


@pytest.mark.parametrize(("path", "value", "message"), [rule[1:] for rule in RULES], ids=[rule[0] for rule in RULES])
def test_manifest_refuses(path: str, value: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Manifest.from_json(sample_with(path, value))


def test_manifest_refuses_what_is_no_json() -> None:
    with pytest.raises(ValidationError, match="Invalid JSON"):
        Manifest.from_json(sample_manifest().to_json()[:-10])


@pytest.mark.parametrize("start", [b"[", b'{"format_version":', b'{"format_version":1,"lineage":['])
def test_manifest_that_nests_deep_is_refused_like_any_other(start: bytes) -> None:
    with pytest.raises(ValidationError, match="recursion limit exceeded"):
        Manifest.from_json(start + start[-1:].replace(b":", b"[") * 100_000)


def test_rules_hold_for_objects_as_for_json() -> None:
    with pytest.raises(ValidationError, match="feature names must be distinct"):
        sample_manifest(features=(petal("petal length", 0.5), petal("petal length", 0.5)))
    with pytest.raises(ValidationError, match="timezone"):
        sample_manifest(created=datetime(2026, 1, 2))
    with pytest.raises(ValidationError, match="metrics"):
        sample_manifest(metrics={"train": EVALUATION})


def test_dialect_is_that_of_the_training_file_and_the_usual_one_where_none_is_recorded() -> None:
    usual = sample_manifest()
    recipe = {**usual.lineage.recipe, "data": {"file": "rows.csv", "test_file": "more.csv"}}
    dialects = {"more.csv": USUAL, "rows.csv": Dialect(quote="'", delimiter=";")}
    lineage = usual.lineage.model_copy(update={"recipe": recipe, "dialects": dialects})

    found = usual.model_copy(update={"lineage": lineage}).dialect

    assert found == USUAL.model_copy(update={"quote": "'", "delimiter": ";"})
    assert usual.dialect == USUAL
