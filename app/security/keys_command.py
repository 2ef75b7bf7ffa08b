"""The command `python -m app keys`, which creates, lists and revokes keys in the key file.

No service needs to be running.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.errors import ConfigurationError
from app.security.keys import KeyFile, Scope

BAD_SETTINGS = 3
NOT_FOUND = 1

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def main(arguments: Sequence[str]) -> int:
    """Run a command and return the exit code: 0, 1 if there is no such key, 3 if the file cannot be used."""
    asked = _parser().parse_args(arguments)
    try:
        return int(asked.run(asked))
    except ConfigurationError as error:
        print(f"tabserve: {error}", file=sys.stderr)  # noqa: T201 - for the person at the terminal
        return BAD_SETTINGS


def _create(asked: argparse.Namespace) -> int:
    expires = datetime.now(UTC).replace(microsecond=0) + asked.expires if asked.expires else None
    key = KeyFile(asked.file).create(asked.scopes, expires, asked.note)
    print("keep this key: it is not shown again", file=sys.stderr)  # noqa: T201
    print(key)  # noqa: T201 - alone on standard output, so that a script can take it
    return 0


def _list(asked: argparse.Namespace) -> int:
    for key in KeyFile(asked.file).read():
        end = "never" if key.expires is None else f"{key.expires:%Y-%m-%d %H:%M}Z"
        state = " (expired)" if key.expired else ""
        row = f"{key.id}  {','.join(key.scopes):28}  {key.created:%Y-%m-%d}  until {end}{state}  {key.note}"
        print(row.rstrip())  # noqa: T201
    return 0


def _revoke(asked: argparse.Namespace) -> int:
    if KeyFile(asked.file).revoke(asked.id):
        return 0
    print(f"tabserve: {asked.file} has no key {asked.id!r}; python -m app keys list", file=sys.stderr)  # noqa: T201
    return NOT_FOUND


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app keys", description="Create, list and revoke API keys.")
    given = os.environ.get("TABSERVE_KEYS_FILE")
    commands = parser.add_subparsers(required=True, metavar="create | list | revoke")
    create = commands.add_parser("create", help="create a key and print it; it is not shown again")
    every = ",".join(Scope)
    create.add_argument("--scopes", type=_scopes, required=True, help=f"comma-separated scopes: {every}")
    create.add_argument("--expires", type=_duration, default=None, help="30m, 12h or 90d from now; by default never")
    create.add_argument("--note", type=_note, default="", help="note for people, such as the owner of the key")
    create.set_defaults(run=_create)
    listing = commands.add_parser("list", help="list the keys with their scopes, times and notes")
    listing.set_defaults(run=_list)
    revoke = commands.add_parser("revoke", help="remove a key; running services refuse it within seconds")
    revoke.add_argument("id", help="the twelve characters after tabserve_")
    revoke.set_defaults(run=_revoke)
    for command in (create, listing, revoke):
        where = "the key file (TABSERVE_KEYS_FILE)"
        command.add_argument("--file", type=Path, default=given, required=given is None, help=where)
    return parser


def _scopes(text: str) -> frozenset[Scope]:
    try:
        return frozenset(Scope(part.strip()) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"choose from {', '.join(Scope)}") from None


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"([1-9][0-9]{0,4})([mhd])", text)
    if found is None:
        raise argparse.ArgumentTypeError("expected a duration such as 30m, 12h or 90d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _note(text: str) -> str:
    if len(text) > 200 or not text.isprintable():
        raise argparse.ArgumentTypeError("at most 200 printable characters")
    return text
