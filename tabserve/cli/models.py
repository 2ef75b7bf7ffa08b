"""Find the folder of the version that a command means."""

from __future__ import annotations

import difflib
from pathlib import Path

from tabserve.errors import WrongInput


def version_folder(models_dir: Path, model: str | None, version: int | None = None) -> Path:
    """Return the folder of a version, or of a model whose active version is meant.

    Args:
        models_dir: folder of the models.
        model: name of a model, also with a version (`churn@3`), or a folder; None for the only model.
        version: number of the version, if it is said apart.

    Raises:
        WrongInput: if there is no such model or version.
    """
    if model is None:
        folder = models_dir / only(_models(models_dir), str(models_dir))
    elif Path(model).is_dir():
        folder = Path(model)
    else:
        name, version = name_and_version(model, version)
        folder = models_dir / name
        if not folder.is_dir() and (known := _models(models_dir)):
            raise WrongInput(f"{models_dir} has no model {name!r}; {_meant(name, known)}")
    if version is not None and folder.is_dir() and not (folder / str(version)).is_dir():
        there = sorted((int(each.name) for each in folder.iterdir() if each.name.isdecimal()), reverse=True)
        found = f"it has {', '.join(map(str, there[:10]))}" if there else "it has none"
        raise WrongInput(f"{folder.name} has no version {version}; {found}")
    return folder if version is None else folder / str(version)


def name_and_version(model: str, version: int | None = None) -> tuple[str, int | None]:
    """Return the name of a model and the version that is said behind it (`churn@3`) or apart.

    Raises:
        WrongInput: if the version is said twice, or is no number.
    """
    name, at, number = model.partition("@")
    if at and version is not None:
        raise WrongInput(f"the version is said twice, as {model} and {version}; say it once")
    if at and not number.isdecimal():
        raise WrongInput(f"--model {model}: expected a version behind the @, such as {name}@3")
    return name, int(number) if at else version


def only(names: list[str], place: str) -> str:
    """Return the only name of a list.

    Raises:
        WrongInput: if there is not exactly one.
    """
    if len(names) == 1:
        return names[0]
    found = f"has {', '.join(names)}: choose one with --model" if names else "has no model; `tabserve fit` trains one"
    raise WrongInput(f"{place} {found}")


def _models(models_dir: Path) -> list[str]:
    return sorted({path.parent.parent.name for path in models_dir.glob("*/*/manifest.json")})


def _meant(name: str, known: list[str]) -> str:
    found = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {found[0]}?" if found else f"it has {', '.join(known)}"
