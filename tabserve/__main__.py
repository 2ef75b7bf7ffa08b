"""Entry point of `tabserve` and `python -m tabserve`."""

from __future__ import annotations

import sys
from importlib import metadata

from tabserve.late import load_name


def main() -> None:
    """Run a command; `--version` needs no other import."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"tabserve {metadata.version('tabserve')}\n")
        return
    try:
        load_name("tabserve.cli.commands", "app")(prog_name="tabserve")
    except ModuleNotFoundError as error:
        sys.exit(f"error: this command needs the package {error.name}: pip install 'tabserve[all]'")


if __name__ == "__main__":
    main()
