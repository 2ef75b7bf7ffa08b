"""Rules between training settings, which a learner checks before a training begins."""

from __future__ import annotations

from collections.abc import Iterable

from modelstore.overrides import SETTINGS, Image, LearnerName


def require_own_settings(learner: LearnerName, names: Iterable[str]) -> None:
    """Check that a learner has all settings with these names.

    Raises:
        ValueError: if it has not; names the setting and those that it has.
    """
    own = ("learner", "seed", *SETTINGS[learner])
    for name in names:
        if name not in own:
            others = " and ".join(other for other, settings in SETTINGS.items() if name in settings)
            raise ValueError(f"settings of learner {learner!r}, which are {', '.join(own)}; {name!r} is for {others}")


def require_search(learner: LearnerName, search: int, budget_s: float | None) -> None:
    """Check that an MLP, whose training knows no budget, has one for a search only.

    Raises:
        ValueError: if not; says what was expected.
    """
    if learner == "mlp" and budget_s is not None and not search:
        raise ValueError("search beside budget_s, which bounds only searches of learner = mlp")


def require_image(learner: LearnerName, image: Image | None, filters: tuple[int, ...]) -> None:
    """Check that the learner of images knows their size, and that they can be halved after each convolution.

    Raises:
        ValueError: if not; says what was expected.
    """
    if learner != "cnn":
        return
    if image is None:
        raise ValueError("image, the height, width and channels of a row, beside learner = cnn")
    if min(image.height, image.width) >> len(filters) < 1:
        smallest = 2 ** len(filters)
        raise ValueError(f"an image of at least {smallest} x {smallest} pixels for {len(filters)} filters")


def require_held_out_rows(learner: LearnerName, validation_fraction: float) -> None:
    """Check that there are rows on which a decision can be chosen; learners without epochs hold rows out themselves.

    Raises:
        ValueError: if there are none; says what was expected.
    """
    if "epochs" in SETTINGS[learner] and not validation_fraction:
        raise ValueError("a validation_fraction above 0 for a decision that maximises a figure")


def require_validation_rows(patience: int, validation_fraction: float) -> None:
    """Check that early stopping has validation rows.

    Raises:
        ValueError: if it has none; says what was expected.
    """
    if patience and not validation_fraction:
        raise ValueError("a validation_fraction above 0 for early stopping, or patience = 0")
