"""Training settings that a caller may override in a recipe, with their bounds.

`POST /train` and `python -m training fit --set` accept exactly these fields, so both reject the same input.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, TypeAdapter, ValidationInfo, field_validator

from modelstore.reading import MAX_COLUMNS
from modelstore.records import Record

LearnerName = Literal["auto", "mlp", "linear", "realmlp", "trees", "cnn"]
BudgetS = Annotated[float, Field(ge=1, le=86_400, allow_inf_nan=False)]
Hidden = Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(max_length=8)]
Dropout = Annotated[float, Field(ge=0, lt=1)]
Epochs = Annotated[int, Field(ge=1, le=100_000)]
BatchSize = Annotated[int, Field(ge=0, le=10_000_000)]
Optimizer = Literal["sgd", "adam", "adamw"]
LearningRate = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
WeightDecay = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Schedule = Literal["constant", "cosine", "plateau"]
Patience = Annotated[int, Field(ge=0, le=100_000)]
Activation = Literal["relu", "leaky_relu", "elu", "gelu", "tanh", "sigmoid"]
L1 = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Init = Literal["torch", "he", "xavier"]
Filters = Annotated[tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=1, max_length=8)]
DEFAULT_FILTERS = (32, 64)
Shift = Annotated[int, Field(ge=0, le=100)]
Noise = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Pixels = Annotated[int, Field(ge=1, le=MAX_COLUMNS)]
ClassWeights = Literal["none", "balanced"]
ValidationFraction = Annotated[float, Field(ge=0, le=0.5)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]


_NETWORK = (
    *("hidden", "dropout", "epochs", "batch_size", "optimizer", "lr", "weight_decay", "schedule", "patience"),
    *("class_weights", "validation_fraction", "activation", "batch_norm", "l1", "init"),
)
SETTINGS: Mapping[LearnerName, tuple[str, ...]] = {
    "auto": ("budget_s",),
    "mlp": _NETWORK,
    "linear": (),
    "realmlp": ("budget_s", "validation_fraction"),
    "trees": ("validation_fraction",),
    "cnn": (*_NETWORK, "image", "filters", "shift", "flip", "noise"),
}
"""The settings of each learner, beside `learner` and `seed`, which all have."""


class Image(Record):
    """What the columns of a row are: the pixels of an image, channel after channel, each line by line."""

    height: Pixels
    width: Pixels
    channels: Pixels = 1

    @property
    def pixels(self) -> int:
        """Return the number of columns."""
        return self.height * self.width * self.channels


class Overrides(Record):
    """Training settings that replace those of the recipe; absent fields keep the recipe's value.

    Attributes:
        learner: what is fitted; with another learner than the recipe's, the recipe's settings do not count.
        budget_s: seconds that the training may take; by default they follow the number of rows.
        hidden: width of each hidden layer, first to last; () is logistic regression.
        dropout: probability of dropping an activation of the last hidden layer.
        epochs: passes over the training rows.
        batch_size: rows per step; 0 is the full batch.
        lr: learning rate at the start of the schedule.
        weight_decay: L2 penalty (SGD, Adam) or decoupled decay (AdamW).
        schedule: learning rate schedule: constant, cosine decay to 0, or division by ten on a plateau.
        patience: epochs without a better validation loss before stopping; 0 never stops early.
        class_weights: `balanced` weighs each class by the inverse of its frequency while it learns.
        validation_fraction: share of the training split held back for early stopping.
        activation: function after each hidden layer.
        batch_norm: whether each hidden layer is normalised by batch before its activation.
        l1: L1 penalty, the weight of the sum of the absolute weights; biases are not penalised.
        init: how the weights begin: as torch's layers do, or by He's or Xavier Glorot's rule.
        image: what a row of the learner `cnn` is.
        filters: outputs of each convolution of it; after each, the image is halved.
        shift: the most pixels by which its images move at random in training.
        flip: whether half of them are mirrored.
        noise: standard deviation of noise on them, in that of all pixels of a channel.
        seed: seed of the validation split, initial weights, shuffling and dropout; not of the test split.
    """

    learner: LearnerName | None = None
    budget_s: BudgetS | None = None
    hidden: Hidden | None = None
    dropout: Dropout | None = None
    epochs: Epochs | None = None
    batch_size: BatchSize | None = None
    optimizer: Optimizer | None = None
    lr: LearningRate | None = None
    weight_decay: WeightDecay | None = None
    schedule: Schedule | None = None
    patience: Patience | None = None
    class_weights: ClassWeights | None = None
    validation_fraction: ValidationFraction | None = None
    activation: Activation | None = None
    batch_norm: bool | None = None
    l1: L1 | None = None
    init: Init | None = None
    image: Image | None = None
    filters: Filters | None = None
    shift: Shift | None = None
    flip: bool | None = None
    noise: Noise | None = None
    seed: Seed | None = None

    @field_validator("*")
    @classmethod
    def _not_null(cls, value: object, info: ValidationInfo) -> object:
        """Reject null as any other value of a wrong type; absent fields are not validated."""
        if value is None:
            wanted, _ = get_args(cls.model_fields[str(info.field_name)].annotation)
            TypeAdapter[Any](wanted).validate_python(value)
        return value

    def learner_beside(self, default: LearnerName) -> LearnerName:
        """Return the learner that is meant: the named one, or an MLP if settings of it are named, or the default."""
        if self.learner is not None:
            return self.learner
        named = self.to_dict().keys() - {"seed"}
        return "mlp" if named - set(SETTINGS[default]) and named <= set(SETTINGS["mlp"]) else default

    def to_dict(self) -> dict[str, object]:
        """Return only the fields that were set, as JSON values."""
        return self.model_dump(mode="json", exclude_none=True)


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
