"""A group of commands that finds those of the training, too, and imports them on demand."""

from __future__ import annotations

from typing import Any

import typer.core
import typer.main

from tabserve.late import has, load_name

RENAMED = {"list": "models"}


class LazyGroup(typer.core.TyperGroup):
    """Commands of this package, and those of `python -m training` where it is installed."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, or None if there is no such one; without the training's packages, say how to get them."""
        if cmd_name not in self.commands:
            self._add_training()
            if "fit" not in self.commands:
                own = ", ".join(self.commands)
                ctx.fail(
                    f"no command {cmd_name!r} among {own}; others need more packages: pip install 'tabserve[train]'"
                )
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands."""
        self._add_training()
        return super().list_commands(ctx)

    def _add_training(self) -> None:
        if "fit" in self.commands or not (has("training") and has("torch")):
            return
        training: Any = typer.main.get_command(load_name("training.cli.commands", "app"))
        for name, command in training.commands.items():
            command.name = RENAMED.get(name, name)
            self.add_command(command)
