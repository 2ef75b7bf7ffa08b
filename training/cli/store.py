"""Commands on the model store: list, activate, prune, remove, sign, signing-key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelstore import SigningKey, UnknownModel, check_name
from training.cli.lists import print_versions
from training.cli.options import (
    KEEP_VERSIONS,
    MODELS,
    KeyFile,
    ModelsDir,
    Name,
    Version,
    console,
    fail,
    failures_in_one_line,
    store,
)


def install(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("list")(list_versions)
    app.command()(activate)
    app.command()(prune)
    app.command()(remove)
    app.command()(sign)
    app.command("signing-key")(signing_key)


def list_versions(models_dir: ModelsDir = MODELS, key_file: KeyFile = None) -> None:
    """Show all versions with their test metrics, and which one is active."""
    with failures_in_one_line():
        print_versions(console(), store(models_dir, key_file))


def activate(name: Name, version: Version, models_dir: ModelsDir = MODELS, key_file: KeyFile = None) -> None:
    """Make a version the active one, if its hash and signature are right; may also be an older version."""
    with failures_in_one_line():
        repository = store(models_dir, key_file)
        repository.find(name, version).verify()
        repository.activate(name, version)
        console().print(f"{name} version {version} is active", highlight=False)


def prune(
    name: Name,
    keep: Annotated[int, typer.Option(min=1, help="Number of the newest versions to keep.")] = KEEP_VERSIONS,
    models_dir: ModelsDir = MODELS,
) -> None:
    """Remove old versions, but never the active one, the previously active one or the shadow."""
    with failures_in_one_line():
        removed = store(models_dir, None).prune(check_name(name), keep)
        numbers = ", ".join(map(str, removed)) or "none"
        console().print(f"{name}: versions removed: {numbers}", highlight=False, soft_wrap=True)


def remove(
    name: Name,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    models_dir: ModelsDir = MODELS,
) -> None:
    """Remove a model with all its versions permanently; a running service stops serving it."""
    with failures_in_one_line():
        repository = store(models_dir, None)
        if not (versions := repository.versions(name)):
            raise UnknownModel(name, repository.names())
        if not yes:
            typer.confirm(f"Remove {name} with all its versions ({len(versions)}), for good?", abort=True)
        numbers = ", ".join(map(str, repository.remove_model(name)))
        console().print(f"{name} is removed, with its versions {numbers}", highlight=False, soft_wrap=True)


def sign(
    name: Name,
    versions: Annotated[list[int] | None, typer.Argument(help="Published versions; default: all.")] = None,
    models_dir: ModelsDir = MODELS,
    key_file: KeyFile = None,
) -> None:
    """Sign versions that were published without the key or with an older one; check their origin first."""
    with failures_in_one_line():
        repository = store(models_dir, key_file)
        if repository.key is None:
            fail("name the key: --signing-key-file FILE")
        for version in versions or repository.versions(name):
            repository.sign(name, version)
            console().print(f"{name} version {version} is signed", highlight=False)


def signing_key(file: Annotated[Path, typer.Option(metavar="FILE", help="File of the key; keep it secret.")]) -> None:
    """Make a key, or add a new one before those in the file: the first signs, all are trusted."""
    with failures_in_one_line():
        older = len(SigningKey.create(file).older)
        console().print(f"{file} has a new key and {older} older", highlight=False, soft_wrap=True)
