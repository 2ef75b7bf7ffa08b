"""The command `python -m app audit`, which verifies audit files without changing them."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from app.security.audit.chain import START
from app.security.audit.verification import BrokenChain, verify

BROKEN = 1
UNREADABLE = 3


def main(arguments: Sequence[str]) -> int:
    """Run the command and return the exit code: 0, 1 if a line was changed or removed, 3 if a file cannot be read."""
    asked = _parser().parse_args(arguments)
    try:
        found = verify(asked.files, asked.after)
    except BrokenChain as error:
        print(f"tabserve: {error}", file=sys.stderr)  # noqa: T201 - for the person at the terminal
        return BROKEN
    except OSError as error:
        print(f"tabserve: {error.filename}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return UNREADABLE
    print(f"{found.records} records, all as they were written; the last is {found.digest}")  # noqa: T201
    if found.sealed or found.torn_bytes:
        end = f"; {found.torn_bytes} bytes at the end" if found.torn_bytes else ""
        print(f"crashes tore {found.sealed} lines, which were sealed{end}")  # noqa: T201
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app audit", description="Check audit files.")
    commands = parser.add_subparsers(required=True, metavar="verify")
    verifying = commands.add_parser("verify", help="verify that no line was changed, removed or inserted")
    verifying.add_argument("files", type=Path, nargs="+", metavar="FILE", help="oldest first")
    known = "digest that an earlier run printed for the file before the first one"
    verifying.add_argument("--after", type=_digest, default=START, metavar="DIGEST", help=known)
    return parser


def _digest(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise argparse.ArgumentTypeError("64 hexadecimal digits")
    return text
