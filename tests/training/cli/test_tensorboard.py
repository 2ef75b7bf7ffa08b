from __future__ import annotations

import errno
import io
from pathlib import Path

import pytest
from rich.console import Console

from tests.training.samples import DATA, classified, clouds, recipe, run, write_csv
from training.cli.fit import SUCCEEDED, FitRequest, fit
from training.config.recipe import BUILT_IN
from training.config.run import Folders

pytest.importorskip("tensorboard", reason="TensorBoard is an optional extra")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]
from torch.utils.tensorboard import SummaryWriter

from training.cli.tensorboard import recorder


@pytest.mark.slow
def test_scalars_and_hyper_parameters_are_written(tmp_path: Path) -> None:
    write_csv(tmp_path / "data", clouds(200))
    chosen = recipe(epochs=4, validation_fraction=0.2)
    record = recorder(tmp_path / "runs", chosen)
    events, result = run(chosen, tmp_path)

    for event in (*events, result):
        record(event)

    (folder,) = (tmp_path / "runs").iterdir()
    written = EventAccumulator(str(folder)).Reload()
    assert [point.step for point in written.Scalars("loss/train")] == [1, 2, 3, 4]
    assert {"loss/validation", "learning_rate", "gradient_norm", "test/accuracy"} <= set(written.Tags()["scalars"])
    assert written.Scalars("test/log_loss")[0].value == pytest.approx(classified(result.metrics["test"]).log_loss)
    assert "_hparams_/session_start_info" in written.summary_metadata


@pytest.mark.slow
def test_f6_files_that_cannot_be_written_fail_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(SummaryWriter, "add_scalar", full)
    output, errors = (Console(file=io.StringIO(), width=200) for _ in range(2))
    folders = Folders(models=tmp_path / "models", data=DATA, recipes=BUILT_IN)

    code = fit(FitRequest("iris", folders, assignments=["epochs=3"], tensorboard=tmp_path / "runs"), output, errors)

    assert isinstance(output.file, io.StringIO)
    assert code == SUCCEEDED
    assert output.file.getvalue().count("warning: TensorBoard's files could not be written and end here") == 1


def test_a_failed_training_is_closed_without_figures(tmp_path: Path) -> None:
    chosen = recipe()
    record = recorder(tmp_path / "runs", chosen)
    _, failure = run(chosen, tmp_path)

    record(failure)

    assert len(list((tmp_path / "runs").iterdir())) == 1
