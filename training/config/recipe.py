"""The checked form of a recipe file: which data, which network, which settings; it must not know torch or the data."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from modelstore import Overrides, wording
from modelstore.manifest import Label, ModelName, Ratio, Record
from modelstore.overrides import (
    BatchSize,
    ClassWeights,
    Dropout,
    Epochs,
    Hidden,
    LearningRate,
    Optimizer,
    Patience,
    Schedule,
    Seed,
    ValidationFraction,
    WeightDecay,
    require_validation_rows,
)
from modelstore.reading import column_name
from training.errors import RecipeError, UnknownRecipe

BUILT_IN = Path(__file__).parents[1] / "recipes"

FileName = Annotated[str, Field(pattern=r"^[^/\\\x00-\x1f.][^/\\\x00-\x1f]{0,254}$")]

Column = Annotated[Label, AfterValidator(column_name)]


class DataSource(Record):
    """Which rows to train on and which to test on.

    Attributes:
        file: CSV file in the data folder.
        target: column that holds the class.
        features: the columns to learn from, in this order; empty means every column but the target.
        test_file: CSV file whose rows are the test split; then all rows of `file` are for training.
        test_fraction: share of `file` held back as the test split; exactly one of the two is given.
        split_seed: decides which rows are held back. It is not the training seed: the test rows stay the same
            whatever the seed, so versions can be compared.
        stratify: whether each class has the same share in both splits.
        classes: value in the file to class name, in class order; empty means the values themselves, sorted as
            numbers if all of them are numbers.
        units: feature name to unit; a feature that is absent has none.
    """

    file: FileName
    target: Column
    features: tuple[Column, ...] = ()
    test_file: FileName | None = None
    test_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None
    split_seed: Seed = 42
    stratify: bool = False
    classes: dict[str, Label] = Field(default_factory=dict)
    units: dict[Column, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_test_split(self) -> Self:
        if (self.test_file is None) == (self.test_fraction is None):
            raise ValueError("exactly one of test_file and test_fraction")
        if len(set(self.classes.values())) != len(self.classes) or len(self.classes) == 1:
            raise ValueError("classes with at least two different names, or none")
        if self.target in self.features or len(set(self.features)) != len(self.features):
            raise ValueError("features that differ from each other and from the target")
        return self


class TrainingSettings(Record):
    """How the network looks and learns; field by field what `modelstore.Overrides` may change."""

    hidden: Hidden
    dropout: Dropout = 0.0
    epochs: Epochs
    batch_size: BatchSize = 0
    optimizer: Optimizer = "adam"
    lr: LearningRate
    weight_decay: WeightDecay = 0.0
    schedule: Schedule = "constant"
    patience: Patience = 0
    class_weights: ClassWeights = "none"
    validation_fraction: ValidationFraction = 0.0
    seed: Seed = 0

    @model_validator(mode="after")
    def _patience_has_rows(self) -> Self:
        require_validation_rows(self.patience, self.validation_fraction)
        return self


class GateRule(Record):
    """What a candidate must show, on the test rows, to replace the active version.

    Attributes:
        metric: the figure that decides; smaller is better.
        margin: how much smaller than the active version's it must be, in nats.
        min_recall: recall that every class must reach.
        min_skill: by how many standard errors the log loss must lie below that of the class frequencies; at 3, a
            network that learnt shuffled labels passes about once in a thousand times.
    """

    metric: Literal["log_loss"] = "log_loss"
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    min_recall: Ratio = 0.0
    min_skill: Annotated[float, Field(ge=0, le=100)] = 3.0


class Recipe(Record):
    """Everything that one training needs besides the data itself.

    Attributes:
        model: name under which the versions are published.
        network: what people call the network, for reports.
        report_every: epochs between reports of the test accuracy; 0 reports none.
    """

    model: ModelName
    description: str = ""
    network: Label = "MLP"
    report_every: Annotated[int, Field(ge=0)] = 0
    data: DataSource
    training: TrainingSettings
    gate: GateRule = GateRule()

    def with_overrides(self, overrides: Overrides) -> Recipe:
        """Return this recipe with the given training settings in place of its own.

        Raises:
            RecipeError: if the settings do not fit together.
        """
        changed = {**self.training.model_dump(), **overrides.model_dump(exclude_none=True)}
        try:
            settings = TrainingSettings.model_validate(changed)
        except ValidationError as error:
            raise refusal("overrides", error) from error
        return self.model_copy(update={"training": settings})


def recipe_names(folder: Path) -> tuple[str, ...]:
    """Return the names of the recipes in a folder, sorted."""
    return tuple(sorted(path.stem for path in folder.glob("*.toml")))


def load_recipe(name: str, folder: Path) -> Recipe:
    """Read and check `<folder>/<name>.toml`.

    Raises:
        UnknownRecipe: if there is no such file; lists those that there are.
        RecipeError: if the file is not TOML or a field is wrong; names file, field, what was expected and what came.
    """
    known = recipe_names(folder)
    if name not in known:
        raise UnknownRecipe(name, known)
    file = f"{name}.toml"
    try:
        content = tomllib.loads((folder / file).read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(file, "", "TOML in UTF-8", str(error)) from error
    return parse_recipe(content, file)


def parse_recipe(content: dict[str, object], source: str) -> Recipe:
    """Check the content of a recipe file, or of a manifest's lineage.

    Raises:
        RecipeError: names source, field, what was expected and what came.
    """
    try:
        # through JSON: its arrays may become tuples even in strict mode
        return Recipe.model_validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        raise refusal(source, error) from error


def refusal(source: str, error: ValidationError) -> RecipeError:
    """Return the first fault that pydantic found as an error of ours."""
    fault = error.errors(include_url=False)[0]
    field = ".".join(map(str, fault["loc"]))
    return RecipeError(source, field, wording.expected(fault), None if fault["type"] == "missing" else fault["input"])
