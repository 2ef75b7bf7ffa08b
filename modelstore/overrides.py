"""Training settings that a caller may override in a recipe, with their bounds.

`POST /train` and `python -m training fit --set` accept exactly these fields, so both reject the same input.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, TypeAdapter, ValidationInfo, field_validator

from modelstore.reading import MAX_COLUMNS
from modelstore.records import Record

LearnerName = Literal["auto", "mlp", "linear", "realmlp", "trees", "cnn"]
BudgetS = Annotated[float, Field(ge=1, le=86_400, allow_inf_nan=False)]
Width = Annotated[int, Field(ge=1, le=4096)]
Hidden = Annotated[tuple[Width, ...], Field(max_length=8)]
Dropout = Annotated[float, Field(ge=0, lt=1)]
Epochs = Annotated[int, Field(ge=1, le=100_000)]
BatchSize = Annotated[int, Field(ge=0, le=10_000_000)]
Optimizer = Literal["sgd", "adam", "adamw"]
LearningRate = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
WeightDecay = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Schedule = Literal["constant", "cosine", "plateau"]
Patience = Annotated[int, Field(ge=0, le=100_000)]
ActivationFunction = Literal["relu", "leaky_relu", "elu", "gelu", "tanh", "sigmoid"]
L1 = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Init = Literal["torch", "he", "xavier"]
Filters = Annotated[tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=1, max_length=8)]
DEFAULT_FILTERS = (32, 64)
SearchCount = Annotated[int, Field(ge=0, le=500)]
Shift = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Rotate = Annotated[float, Field(ge=0, le=180, allow_inf_nan=False)]
Zoom = Annotated[float, Field(ge=0, le=0.9, allow_inf_nan=False)]
Noise = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Pixels = Annotated[int, Field(ge=1, le=MAX_COLUMNS)]
ClassWeights = Literal["none", "balanced"]
ValidationFraction = Annotated[float, Field(ge=0, le=0.5)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]


_NETWORK = (
    *("hidden", "dropout", "epochs", "batch_size", "optimizer", "lr", "weight_decay", "schedule", "patience"),
    *("class_weights", "validation_fraction", "activation", "batch_norm", "l1", "init"),
)
_SEARCH = ("search", "budget_s")
SETTINGS: Mapping[LearnerName, tuple[str, ...]] = {
    "auto": ("budget_s",),
    "mlp": (*_NETWORK, *_SEARCH),
    "linear": (),
    "realmlp": ("validation_fraction", "realmlp", *_SEARCH),
    "trees": ("validation_fraction", "trees", *_SEARCH),
    "cnn": (*_NETWORK, "image", "filters", "shift", "flip", "rotate", "zoom", "noise"),
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


class RealMLPSettings(Record):
    """What may be changed of the learner `realmlp`; by default it does what its paper found best.

    Attributes:
        hidden: width of each hidden layer; by default chosen by the number of rows.
        lr: largest learning rate; by default 0.04 for classes, 0.2 for a quantity.
        dropout: probability of dropping an activation, which falls to 0 in the training.
        weight_decay: decoupled decay, which falls to 0 likewise.
        frequency: standard deviation of the frequencies of the waves of each number.
    """

    hidden: Annotated[tuple[Width, ...], Field(min_length=1, max_length=8)] | None = None
    lr: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] | None = None
    dropout: Annotated[float, Field(ge=0, le=0.9)] = 0.15
    weight_decay: WeightDecay = 0.02
    frequency: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] = 0.1


class TreesSettings(Record):
    """How trees of the learner `trees` are boosted; without them, it tries a few settings and keeps the best.

    Attributes:
        lr: weight of each tree; at least so large that the trees that are allowed can learn enough.
        leaves: most leaves of a tree.
        depth: most decisions on the way to a leaf.
        leaf_rows: fewest training rows of a leaf.
        l2: penalty of the leaves' values.
        columns: share of the columns that each decision may use, drawn anew for each.
    """

    lr: Annotated[float, Field(gt=0, le=1)] = 0.1
    leaves: Annotated[int, Field(ge=2, le=256)] = 31
    depth: Annotated[int, Field(ge=1, le=8)] = 8
    leaf_rows: Annotated[int, Field(ge=1, le=100_000)] = 20
    l2: Annotated[float, Field(ge=0, le=1000)] = 0.0
    columns: Annotated[float, Field(gt=0, le=1)] = 1.0


class Overrides(Record):
    """Training settings that replace those of the recipe; absent fields keep the recipe's value.

    Attributes:
        learner: what is fitted; with another learner than the recipe's, the recipe's settings do not count.
        search: how many settings are tried, these among them, before the best ones are trained; 0 tries none.
        budget_s: seconds that the training or, if there is one, the search may take; by default they follow the
            number of rows, and a search tries all of its settings.
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
        rotate, zoom: the most degrees and the largest share by which they are turned and resized.
        noise: standard deviation of noise on them, in that of all pixels of a channel.
        realmlp: what is changed of the learner `realmlp`.
        trees: how the learner `trees` boosts.
        seed: seed of the validation split, initial weights, shuffling and dropout; not of the test split.
    """

    learner: LearnerName | None = None
    search: SearchCount | None = None
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
    activation: ActivationFunction | None = None
    batch_norm: bool | None = None
    l1: L1 | None = None
    init: Init | None = None
    image: Image | None = None
    filters: Filters | None = None
    shift: Shift | None = None
    flip: bool | None = None
    rotate: Rotate | None = None
    zoom: Zoom | None = None
    noise: Noise | None = None
    realmlp: RealMLPSettings | None = None
    trees: TreesSettings | None = None
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
        """Return the named learner, else the MLP if its settings are named, else the default.

        `search` and `budget_s`, which several learners have, do not count as settings of the MLP.
        """
        if self.learner is not None:
            return self.learner
        named = self.to_dict().keys() - {"seed", *_SEARCH}
        return "mlp" if named - set(SETTINGS[default]) and named <= set(SETTINGS["mlp"]) else default

    def to_dict(self) -> dict[str, object]:
        """Return only the fields that were set, as JSON values."""
        return self.model_dump(mode="json", exclude_none=True)
