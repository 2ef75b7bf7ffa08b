"""The commands of the training are among those of `tabserve`."""

from __future__ import annotations

import typer.main
from typer.testing import CliRunner

from tabserve.cli.commands import app
from tabserve.cli.group import LazyGroup


def test_commands_of_the_training_are_found_when_they_are_wanted() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, LazyGroup)
    assert set(group.commands) == {"serve", "keys", "audit", "predict", "conformance", "score"}

    assert group.get_command(None, "predict").name == "predict"
    assert "fit" not in group.commands
    assert {"serve", "predict", "fit", "inspect", "models", "compare"} <= set(group.list_commands(None))
    assert group.get_command(None, "list") is None


def test_a_misspelt_command_or_option_is_recognised() -> None:
    run = CliRunner().invoke

    assert "Did you mean 'inspect'?" in run(app, ["inspekt"]).output
    assert "--model" in run(app, ["predict", "rows.csv", "--modle", "x"]).output
    assert run(app, ["fitt"]).exit_code == 2
