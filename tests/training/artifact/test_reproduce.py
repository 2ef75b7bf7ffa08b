from __future__ import annotations

import hashlib
import math
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch

from modelstore import EpochMetrics, Feedback, FeedbackRow, ModelRepository, Notice
from modelstore.feedback import Value
from modelstore.overrides import LearnerName
from tests.training.samples import clouds, collect, ignore, recipe, run, write_csv
from training.artifact.reproduce import Reproduction, data_folder, dialects_of, differences, reproduce
from training.config.learner_settings import TrainingSettings
from training.errors import DatasetError
from training.learners import budget


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    "changes",
    [{}, {"batch_size": 16, "dropout": 0.3, "validation_fraction": 0.2, "patience": 3, "seed": 7}],
    ids=["plain", "all draws"],
)
def test_a_version_comes_out_again_bit_for_bit(changes: dict[str, Any], tmp_path: Path) -> None:
    write_csv(tmp_path / "data", clouds(200, features=3))
    run(recipe(**changes), tmp_path)
    store = ModelRepository(tmp_path / "models")

    events, outcome = collect(lambda report: reproduce(store.find("clouds", 1), tmp_path / "data", report))

    assert outcome.differing == outcome.largest_difference == 0
    assert outcome.weights == (3 + 3) + (3 * 8 + 8) + (8 + 1)  # scaler and 3-8-1
    assert any(isinstance(event, EpochMetrics) for event in events)
    assert store.versions("clouds") == (1,)


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("learner", ["linear", "trees", "realmlp", "auto"])
def test_a_version_of_each_other_learner_comes_out_again_bit_for_bit(
    learner: LearnerName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "PATIENCE", 1000.0)  # else the clock of a busy machine may end one of the two
    write_csv(tmp_path / "data", clouds(150, features=3, spread=4.0))
    chosen = TrainingSettings(learner=learner, budget_s=None if learner == "linear" else 1.0, seed=7)
    run(recipe().model_copy(update={"training": chosen}), tmp_path, policy="always")

    outcome = reproduce(ModelRepository(tmp_path / "models").find("clouds", 1), tmp_path / "data", ignore)

    assert outcome.weights > 0
    assert outcome.differing == outcome.largest_difference == 0


@pytest.mark.slow
def test_other_data_is_refused(two_versions: Path) -> None:
    write_csv(two_versions / "data", clouds(200, features=3, seed=1))

    with pytest.raises(DatasetError, match="expected the data that version 2 was trained on, got other bytes"):
        reproduce(ModelRepository(two_versions / "models").find("clouds", 2), two_versions / "data", ignore)


@pytest.mark.slow
def test_a_version_with_rows_of_feedback_cannot_be_reproduced_and_says_so(tmp_path: Path) -> None:
    write_csv(tmp_path / "data", clouds(200, features=3))
    values: dict[str, Value] = {"x0": 0.5, "x1": 0.25, "x2": None}
    row = FeedbackRow(version=4, time_s=1_800_000_000, values=values, label="cloud 1")
    said, _ = run(recipe(), tmp_path, feedback=Feedback(rows=(row,), left_out=2))
    found = ModelRepository(tmp_path / "models").find("clouds", 1)

    summary = found.manifest().lineage.feedback
    assert summary is not None
    words = "1 row, predicted 2027-01-15 to 2027-01-15 by version 4; 2 more could not be used"
    assert summary.describe() == words
    assert f"clouds.csv: and feedback, {words}" in [one.message for one in said if isinstance(one, Notice)]
    with pytest.raises(DatasetError, match=r"feedback \(1 row.* is not kept with a version, so its weights cannot"):
        reproduce(found, tmp_path / "data", ignore)


@pytest.mark.slow
def test_the_data_may_have_moved_and_have_another_name(two_versions: Path) -> None:
    moved = two_versions / "elsewhere" / "moved.csv"
    moved.parent.mkdir()
    (two_versions / "data" / "clouds.csv").rename(moved)
    found = ModelRepository(two_versions / "models").find("clouds", 2)

    outcome = reproduce(found, moved.parent, ignore, moved.name)

    assert outcome.differing == 0


@pytest.mark.slow
def test_other_libraries_are_a_warning(two_versions: Path) -> None:
    manifest = two_versions / "models" / "clouds" / "2" / "manifest.json"
    here = metadata.version("torch")
    manifest.write_text(manifest.read_text().replace(f'"torch": "{here}"', '"torch": "1.0"'))
    found = ModelRepository(two_versions / "models").find("clouds", 2)
    assert found.manifest().lineage.libraries["torch"] == "1.0"

    events, _ = collect(lambda report: reproduce(found, two_versions / "data", report))

    assert [event.message for event in events if isinstance(event, Notice)] == [
        f"torch is {here}, the version was trained with 1.0; weights may differ"
    ]


def test_the_file_is_read_as_it_was_read_for_the_training(two_versions: Path) -> None:
    manifest = two_versions / "models" / "clouds" / "2" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"skip_footer": 0', '"skip_footer": 90'))
    found, data = ModelRepository(two_versions / "models").find("clouds", 2), two_versions / "data"
    source = recipe().data

    assert reproduce(found, data, ignore).differing
    assert dialects_of(found.manifest(), source, data)["clouds.csv"].skip_footer == 90
    renamed = (data / "clouds.csv").rename(data / "other.csv")
    moved = source.model_copy(update={"file": "other.csv"})
    assert dialects_of(found.manifest(), moved, data)["other.csv"].skip_footer == 90
    renamed.write_text("other,bytes\n")
    assert dialects_of(found.manifest(), moved, data) == {}


def test_one_bit_is_a_difference() -> None:
    nothing = torch.empty(0, dtype=torch.int64)  # such as the dates of a table without any
    stored = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([[3.0]]), "c": nothing}
    again = {"a": torch.tensor([1.0, 2.0]).nextafter(torch.tensor(9.0)), "b": torch.tensor([[3.0]]), "c": nothing}

    outcome = differences(stored, again)

    assert (outcome.weights, outcome.differing) == (3, 2)
    assert outcome.largest_difference == 2**-22  # the distance of 2 from the next float32
    assert differences(stored, stored) == Reproduction(3, 0, 0.0)
    assert differences(stored, {"a": stored["a"]}) == Reproduction(3, 3, math.inf)


def test_data_is_found_among_built_in_files_or_what_the_service_was_given(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "data", clouds())
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    uploaded = tmp_path / "datasets" / "clouds" / sha256
    source, expected = recipe().data, {"clouds.csv": sha256}

    def found() -> Path:
        return data_folder(source, expected, tmp_path / "data", tmp_path / "datasets")

    assert found() == tmp_path / "data"
    uploaded.mkdir(parents=True)
    shutil.move(file, uploaded)
    write_csv(tmp_path / "data", clouds(seed=1))
    assert found() == uploaded
    shutil.rmtree(uploaded)
    assert found() == tmp_path / "data"
