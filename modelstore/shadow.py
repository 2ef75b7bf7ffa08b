"""Tell whether one version may answer beside another, as its shadow.

A shadow is computed on the cells of the active version's rows, and its answers are compared with those of that version,
so both need the same columns and the same kind of answers. It must not know the store.
"""

from __future__ import annotations

from modelstore.manifest import Manifest

_SHOWN = 5  # names of columns in a message


def why_unfit(active: Manifest, shadow: Manifest) -> str | None:
    """Return why a version cannot be the shadow of another, as the end of a sentence about it; None if it can.

    The order of the columns and the categories of a text may differ.
    """
    ours, theirs = ({feature.name: feature.type for feature in one.features} for one in (shadow, active))
    for verb, names in (("also takes", ours.keys() - theirs.keys()), ("does not take", theirs.keys() - ours.keys())):
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            return f"{verb} the column{'s'[: len(names) - 1]} {', '.join(map(repr, sorted(names)[:_SHOWN]))}{more}"
    if other := [name for name in ours if ours[name] != theirs[name]]:
        return f"takes the column {other[0]!r} as {ours[other[0]]}, not as {theirs[other[0]]}"
    if shadow.classes != active.classes or shadow.task != active.task:
        return "answers something else: its classes, or its task, are others"
    if shadow.target and active.target and shadow.target.name != active.target.name:
        return f"predicts {shadow.target.name!r}, not {active.target.name!r}"
    if active.takes_missing and not shadow.takes_missing:
        return "cannot answer rows with missing values, which the active version can"
    return None
