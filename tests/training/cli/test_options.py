"""What all commands share: the store that the options name, and errors in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from modelstore import InvalidKey, SigningKey, UnknownModel
from training.cli.options import failures_in_one_line, store
from training.errors import DatasetError


def test_store_has_the_key_of_the_file_and_without_a_file_none(tmp_path: Path) -> None:
    SigningKey.create(tmp_path / "key")

    assert store(tmp_path, None).root == tmp_path
    assert store(tmp_path, tmp_path / "key").root == tmp_path
    with pytest.raises(InvalidKey):
        store(tmp_path, tmp_path / "none")


@pytest.mark.parametrize(
    ("error", "code"),
    [(UnknownModel("iris", ()), 2), (DatasetError("iris.csv", "no such file"), 1), (OSError(28, "No space left"), 1)],
    ids=["a user's mistake", "data", "the machine"],
)
def test_known_error_is_one_line_and_an_exit_code(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as caught, failures_in_one_line():
        raise error

    said = capsys.readouterr()
    assert (caught.value.exit_code, said.out) == (code, "")
    assert said.err == f"error: {error}\n"


def test_unknown_error_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), failures_in_one_line():
        raise ZeroDivisionError
