"""Read and check recipes: data source, learner, gate and decision.

It must not know torch or the content of the data.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, ValidationError, model_validator

from modelstore import (
    AbstainPolicy,
    Activation,
    CardStatements,
    DataOptions,
    DecisionPolicy,
    Dialect,
    Overrides,
    wording,
)
from modelstore.data_options import Column
from modelstore.evaluation import DECISIVE
from modelstore.overrides import Seed
from modelstore.records import Label, ModelName, Ratio, Record
from modelstore.settings_rules import require_held_out_rows, require_own_settings
from training.config.learner_settings import TrainingSettings
from training.errors import RecipeError, UnknownRecipe

BUILT_IN = Path(__file__).parents[1] / "recipes"

FileName = Annotated[str, Field(pattern=r"^[^/\\\x00-\x1f.][^/\\\x00-\x1f]{0,254}$")]


class DataSource(DataOptions):
    """The rows to train on and to test on.

    Attributes:
        file: CSV file in the data folder.
        target: the class column.
        features: the columns to learn from, in this order; empty means every column but the target.
        test_file: CSV file whose rows are the test split; all rows of `file` are then for training.
        test_fraction: share of `file` held back as the test split; exactly one of the two is given.
        split_seed: seed of the test split. It is separate from the training seed: the test rows stay the same for
            every training seed, so versions can be compared.
        assign: how test rows are found, unless by `split`: drawn by the seed, or by a hash of each row's content, which
            a row keeps when the file grows.
        stratify: whether each class has the same share in both splits, where the rows are shuffled.
        classes: class name of each value in the file, in class order; empty means the values themselves, sorted as
            numbers if all of them are numbers.
        dialect: how the file is written; what it leaves open is detected.
        units: unit of each feature, by name; absent features have none.
    """

    file: FileName
    target: Column
    features: tuple[Column, ...] = ()
    test_file: FileName | None = None
    test_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None
    split_seed: Seed = 42
    assign: Literal["shuffle", "hash"] = "shuffle"
    stratify: bool = False
    classes: dict[str, Label] = Field(default_factory=dict)
    units: dict[Column, str] = Field(default_factory=dict)
    dialect: Dialect | None = None

    @model_validator(mode="after")
    def _one_test_split(self) -> Self:
        if (self.test_file is None) == (self.test_fraction is None):
            raise ValueError("exactly one of test_file and test_fraction")
        if len(set(self.classes.values())) != len(self.classes) or len(self.classes) == 1:
            raise ValueError("classes with at least two different names, or none")
        if self.target in self.features or len(set(self.features)) != len(self.features):
            raise ValueError("features that differ from each other and from the target")
        if self.target in self.optional:
            raise ValueError("optional columns without the target, which no request needs")
        return self


class GateRule(Record):
    """Conditions that a candidate must meet on the test rows to replace the active version.

    Attributes:
        metric: the deciding metric, smaller is better; by default that of the task.
        margin: by how much the candidate's metric must be smaller than the active version's, in nats or, of a
            regression, in the unit of the target.
        margin_errors: by how many standard errors of the difference, over the same rows, it must be smaller.
        min_recall: minimum recall of every class.
        min_skill: number of standard errors by which the loss must be below that of the class frequencies, or of the
            mean; at 3, a network trained on shuffled targets passes about once in a thousand times.
    """

    metric: Literal["log_loss", "rmse"] | None = None
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    margin_errors: Annotated[float, Field(ge=0, le=100)] = 0.0
    min_recall: Ratio = 0.0
    min_skill: Annotated[float, Field(ge=0, le=100)] = 3.0


class Recipe(Record):
    """Everything that one training needs besides the data itself.

    Attributes:
        model: name under which the versions are published.
        network: display name of the network, for reports.
        report_every: epochs between reports of the test accuracy; 0 reports none.
        decision: how a class is chosen, if it is not the most probable one.
        abstain: when nothing is decided for a row.
        card: what people state about the model.
        activate: when a version becomes the active one, unless the training is told otherwise.
    """

    model: ModelName
    description: str = ""
    network: Label = "MLP"
    report_every: Annotated[int, Field(ge=0)] = 0
    data: DataSource
    training: TrainingSettings
    gate: GateRule = GateRule()
    activate: Activation = "if_better"
    decision: DecisionPolicy | None = None
    abstain: AbstainPolicy | None = None
    card: CardStatements | None = None

    @model_validator(mode="after")
    def _can_decide(self) -> Self:
        settings, maximise = self.training, self.decision and self.decision.maximise
        if self.data.task == "regression":
            if self.decision:
                raise ValueError("no decision beside task = regression, which has no classes")
            if self.abstain and (problem := self.abstain.misfit(0)):
                raise ValueError(f"abstain of {problem}")
        if maximise:
            require_held_out_rows(settings.learner, settings.validation_fraction)
        return self

    @model_validator(mode="after")
    def _metric_is_of_its_task(self) -> Self:
        task = self.data.task or ("classification" if self.data.classes else None)
        if task and self.gate.metric not in (None, DECISIVE[task]):
            raise ValueError(f"gate.metric = {DECISIVE[task]!r} for a {task}, or none")
        return self

    def with_overrides(self, overrides: Overrides) -> Recipe:
        """Return this recipe with the given training settings in place of its own.

        Raises:
            RecipeError: if the settings do not fit together.
        """
        learner = overrides.learner_beside(self.training.learner)
        kept = dict(self.training) if learner == self.training.learner else {"seed": self.training.seed}
        changed = {**kept, **{name: value for name, value in overrides if value is not None}, "learner": learner}
        try:
            require_own_settings(learner, overrides.to_dict())
            settings = TrainingSettings.model_validate(changed)
        except ValidationError as error:
            raise recipe_error("overrides", error, TrainingSettings) from error
        except ValueError as error:
            raise RecipeError("overrides", "", str(error), overrides.to_dict()) from error
        if self.data.task == "regression" and settings.class_weights != "none":
            raise RecipeError("overrides", "class_weights", "none beside task = regression", settings.class_weights)
        return self._replace("overrides", training=settings)

    def with_policies(
        self, decision: DecisionPolicy | None, abstain: AbstainPolicy | None, card: CardStatements | None = None
    ) -> Recipe:
        """Return this recipe with another decision, policy to abstain, or statements for the card, where there are any.

        Raises:
            RecipeError: if one does not fit the recipe.
        """
        recipe = self
        for name, said in {"decision": decision, "abstain": abstain, "card": card}.items():
            recipe = recipe if said is None else recipe._replace(name, **{name: said})
        return recipe

    def _replace(self, source: str, **fields: Record) -> Recipe:
        try:
            return Recipe.model_validate({**dict(self), **fields})
        except ValidationError as error:
            raise recipe_error(source, error, Recipe) from error


def recipe_names(folder: Path) -> tuple[str, ...]:
    """Return the names of the recipes in a folder, sorted."""
    return tuple(sorted(path.stem for path in folder.glob("*.toml")))


def load_recipe(name: str, folder: Path) -> Recipe:
    """Read and check `<folder>/<name>.toml`.

    Raises:
        UnknownRecipe: if there is no such file; lists the known recipes.
        RecipeError: if the file is not TOML or a field is wrong; names file, field, expected and actual value.
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
        RecipeError: names source, field, expected and actual value.
    """
    try:
        # through JSON, because strict mode converts arrays to tuples only there
        return Recipe.model_validate_json(json.dumps(_tell_task(content), default=str))
    except ValidationError as error:
        raise recipe_error(source, error, Recipe) from error


def _tell_task(content: dict[str, object]) -> dict[str, object]:
    """Return a recipe with the task of its gate's metric, if it tells none; values could decide another one."""
    data, gate = content.get("data"), content.get("gate")
    if not (isinstance(data, dict) and isinstance(gate, dict)) or data.get("task") or data.get("classes"):
        return content
    task = next((task for task, metric in DECISIVE.items() if metric == gate.get("metric")), None)
    return {**content, "data": {**data, "task": task}} if task else content


def recipe_error(source: str, error: ValidationError, record: type[Record]) -> RecipeError:
    """Convert a pydantic error about a record of this class to a RecipeError about its first unknown or wrong field."""
    faults = error.errors(include_url=False)
    fault = next((fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0])
    *parents, name = fault["loc"] or ("",)
    field = ".".join(map(str, fault["loc"]))
    if fault["type"] == "extra_forbidden":
        return RecipeError(source, field, wording.suggest_field(str(name), _field_names(record, parents)), name)
    return RecipeError(
        source, field, wording.describe_expected(fault), None if fault["type"] == "missing" else fault["input"]
    )


def _field_names(record: Any, path: Sequence[int | str]) -> Sequence[str]:
    for name in path:
        annotation = record.model_fields[name].annotation
        record = next((one for one in get_args(annotation) if hasattr(one, "model_fields")), annotation)  # X | None
    return tuple(record.model_fields)
