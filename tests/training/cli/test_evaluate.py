"""The commands that measure versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelstore import ModelRepository
from tests.training.cli.consoles import invoke
from tests.training.samples import classified, clouds, command, write_csv


def test_two_versions_stand_side_by_side(models: Path) -> None:
    shown = invoke("compare", "clouds", 1, 2, "--models-dir", models)

    lines = shown.stdout.splitlines()
    store = ModelRepository(models)
    first, second = (classified(store.find("clouds", version).manifest().metrics["test"]) for version in (1, 2))
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert any(f"{first.accuracy:.4f}" in line and f"{second.accuracy:.4f}" in line for line in lines)
    assert "of 50 test rows are answered differently; only version 1 is right about " in shown.stdout


@pytest.mark.parametrize("versions", [[1], [1, 2, 2], [1, 9]], ids=str)
def test_versions_that_cannot_be_compared_are_a_users_mistake(models: Path, versions: list[int]) -> None:
    shown = invoke("compare", "clouds", *map(str, versions), "--models-dir", models)

    assert shown.exit_code == 2
    assert len(shown.stderr.splitlines()) == 1


def test_a_version_is_reproduced(models: Path) -> None:
    shown = invoke("reproduce", "clouds", 2, "--models-dir", models, "--data-dir", models.parent / "data")

    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout.splitlines()[-1] == "clouds version 2: all 47 weights are the same bits"


def test_changed_data_cannot_reproduce_a_version(models: Path) -> None:
    write_csv(models.parent / "data", clouds(200, features=3, seed=1))

    shown = invoke("reproduce", "clouds", 2, "--models-dir", models, "--data-dir", models.parent / "data")

    assert shown.exit_code == 1
    assert "got other bytes" in shown.stderr


@pytest.mark.slow
def test_a_version_is_reproduced_in_another_process(models: Path) -> None:
    done = command("reproduce", "clouds", "2", "--models-dir", models, "--data", models.parent / "data" / "clouds.csv")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "clouds version 2: all 47 weights are the same bits"


def test_reproduction_of_a_version_whose_data_was_moved_says_how_to_name_it(models: Path) -> None:
    (models.parent / "data" / "clouds.csv").rename(models.parent / "moved.csv")

    shown = invoke("reproduce", "clouds", 2, "--models-dir", models, "--data-dir", models.parent / "data")

    assert shown.exit_code == 1
    assert "name it with --data FILE" in shown.stderr


@pytest.mark.parametrize("asked", [("clouds", 1, 2), ("clouds", "--recipe", "iris"), ("iris",)], ids=str)
def test_a_data_file_that_a_comparison_would_not_read_is_refused(asked: tuple[str | int, ...], models: Path) -> None:
    shown = invoke("compare", *asked, "--data", models.parent / "data" / "clouds.csv", "--models-dir", models)

    assert shown.exit_code == 2
    assert "--data: expected a model without a recipe, and no versions beside it" in shown.stderr
