"""The settings of a training: which learner, and how it learns.

It must not know torch or the data.
"""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from modelstore.overrides import (
    DEFAULT_FILTERS,
    L1,
    ActivationFunction,
    BatchSize,
    BudgetS,
    ClassWeights,
    Dropout,
    Epochs,
    Filters,
    Hidden,
    Image,
    Init,
    LearnerName,
    LearningRate,
    Noise,
    Optimizer,
    Patience,
    RealMLPSettings,
    Rotate,
    Schedule,
    SearchCount,
    Seed,
    Shift,
    TreesSettings,
    ValidationFraction,
    WeightDecay,
    Zoom,
)
from modelstore.records import Record
from modelstore.settings_rules import require_image, require_own_settings, require_search, require_validation_rows


class TrainingSettings(Record):
    """What is fitted and how; the same fields as `modelstore.Overrides`.

    A setting that is not the learner's keeps its default.
    """

    learner: LearnerName = "mlp"
    search: SearchCount = 0
    budget_s: BudgetS | None = None
    hidden: Hidden = (64, 32)
    dropout: Dropout = 0.0
    epochs: Epochs = 100
    batch_size: BatchSize = 0
    optimizer: Optimizer = "adam"
    lr: LearningRate = 0.003
    weight_decay: WeightDecay = 0.0
    schedule: Schedule = "constant"
    patience: Patience = 0
    class_weights: ClassWeights = "none"
    validation_fraction: ValidationFraction = 0.0
    activation: ActivationFunction = "relu"
    batch_norm: bool = False
    l1: L1 = 0.0
    init: Init = "torch"
    image: Image | None = None
    filters: Filters = DEFAULT_FILTERS
    shift: Shift = 0.0
    flip: bool = False
    rotate: Rotate = 0.0
    zoom: Zoom = 0.0
    noise: Noise = 0.0
    realmlp: RealMLPSettings | None = None
    trees: TreesSettings | None = None
    seed: Seed = 0

    @property
    def has_own_gradient(self) -> bool:
        """Whether the gradient of the MLP is the one written by hand, `learners/mlp/gradient.py`; else autograd's."""
        return self.activation == "relu" and not self.batch_norm and not self.l1

    @model_validator(mode="after")
    def _settings_fit_together(self) -> Self:
        fields = type(self).model_fields
        require_own_settings(self.learner, [name for name in fields if getattr(self, name) != fields[name].default])
        require_validation_rows(self.patience, self.validation_fraction)
        require_search(self.learner, self.search, self.budget_s)
        require_image(self.learner, self.image, self.filters)
        return self
