"""The `fit` and `ensure` commands: from arguments to events and an exit code.

torch and scikit-learn are imported only when a training begins.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console

from modelstore import (
    Activation,
    DataOptions,
    Dialect,
    InvalidKey,
    InvalidName,
    JobResult,
    Notice,
    Permit,
    check_name,
    check_new_name,
)
from training.cli.cancellation import Cancellation, Cancelled
from training.cli.lazy import load_module
from training.cli.progress import Event, Reporter, reporter
from training.cli.report import print_comparison, print_evaluation, split_title
from training.config.options import DialectTexts, OptionTexts, read_decision
from training.config.recipe import Recipe, load_recipe, recipe_names
from training.config.run import Folders, TrainingRun, read_names, read_overrides, recipe_for
from training.errors import MissingExtra, RecipeError, TrainingError
from training.outcome import reason_for, sentence

SUCCEEDED, FAILED, WRONG_USAGE, CANCELLED = 0, 1, 2, 130


@dataclass(frozen=True)
class FitRequest:
    """The arguments of `fit`, unchecked; see `python -m training fit --help`."""

    model: str | None
    folders: Folders
    recipe: str | None = None
    data: Path | None = None
    target: str | None = None
    features: str | None = None
    options: OptionTexts = field(default_factory=OptionTexts)
    dialect: DialectTexts = field(default_factory=DialectTexts)
    decision: str | None = None
    assignments: Sequence[str] = ()
    overrides: str | None = None
    seed: int | None = None
    policy: Activation = "if_better"
    job: str | None = None
    permit: str | None = None
    keep: int | None = None
    json_lines: bool = False
    tensorboard: Path | None = None

    @property
    def name(self) -> str:
        """Return the model's name, or the default name made from the data file."""
        if self.model or not self.data:
            return self.model or ""
        name: str = load_module("config.default_recipe").name_for(self.data)
        return name


def fit(request: FitRequest, console: Console, errors: Console) -> int:
    """Train, publish, report, and return the exit code.

    Args:
        request: the arguments of the command.
        console: receives events and the report; with JSON lines, the last line is always a JobResult.
        errors: receives one line about a failure.
    """
    with Cancellation() as cancellation:
        result, code = _attempt(request, cancellation, console)
    if result.reason != "succeeded":
        errors.print(f"{result.reason}: {result.detail}", markup=False, highlight=False, soft_wrap=True)
    elif not request.json_lines:
        _print_report(console, request.folders, result)
    return code


def ensure(folders: Folders, console: Console, errors: Console) -> int:
    """Train and activate every default recipe whose model has no version yet, and return the exit code.

    A default recipe has the name of its model; `cancer-tutorial` is a variant.

    Raises:
        RecipeError: if a recipe cannot be used.
    """
    names = recipe_names(folders.recipes)
    defaults = [name for name in names if load_recipe(name, folders.recipes).model == name]
    repository = folders.repository()
    missing = [name for name in defaults if not repository.versions(name)]
    if not missing:
        console.print(f"all {len(defaults)} models are trained: {', '.join(defaults)}", highlight=False, soft_wrap=True)
    for name in missing:
        code = fit(FitRequest(name, folders, policy="always"), console, errors)
        if code:
            return code
    return SUCCEEDED


def _attempt(request: FitRequest, cancellation: Cancellation, console: Console) -> tuple[JobResult, int]:
    """Show all events of the training, the JobResult last, and return the JobResult and the exit code."""
    with reporter(console, json_lines=request.json_lines) as view:
        try:
            result, code = _run(request, cancellation, view)
        except Cancelled as stopped:
            detail = f"stopped by {stopped} before anything was published"
            result, code = JobResult(reason="cancelled", detail=detail, model=request.name), CANCELLED
        except (TrainingError, InvalidKey, InvalidName, OSError) as error:
            result, code = JobResult(reason="failed", detail=str(error), model=request.name), WRONG_USAGE
        except (MemoryError, ImportError) as error:  # a memory limit may be too small even for the imports
            result = JobResult(reason=reason_for(error), detail=sentence(error), model=request.name)
            code = FAILED
        cancellation.too_late()
        if result.reason == "succeeded" or request.json_lines:
            view.show(result)
    return result, code


def _run(request: FitRequest, cancellation: Cancellation, view: Reporter) -> tuple[JobResult, int]:
    """Check the request and train.

    Raises:
        TrainingError, InvalidKey, InvalidName, OSError: if the request is wrong; after the training has begun, failures
            are results.
    """
    recipe = _recipe(request)
    check_new_name(recipe.model)
    data_dir = request.data.parent if request.data else request.folders.data
    view.show(Notice(message=f"{recipe.model}: loading PyTorch and scikit-learn"))
    record = _recorder(request, recipe, view)
    run = TrainingRun(
        recipe=recipe,
        data_dir=data_dir,
        repository=request.folders.repository(),
        policy=request.policy,
        job=request.job,
        permit=_permit(request),
        keep=request.keep,
        before_publishing=cancellation.too_late,
    )

    def report(event: Event) -> None:
        """Record an event and show it."""
        record(event)
        view.show(event)

    result: JobResult = load_module("pipeline").train(run, report)
    record(result)
    return result, SUCCEEDED if result.reason == "succeeded" else FAILED


def _recipe(request: FitRequest) -> Recipe:
    overrides = read_overrides(request.overrides, request.assignments, request.seed)
    options, dialect = _options(request), request.dialect.read()
    decision = read_decision(sys.stdin.readline() if request.decision == "-" else request.decision)
    if request.data is None:
        told = request.target or request.features or options.to_dict() or dialect != Dialect()
        if told or request.model is None:
            expected = "the NAME of a recipe, or --data FILE --target COLUMN with its options"
            raise RecipeError("fit", "", expected, request.model)
        known = recipe_for(check_name(request.model), request.recipe, overrides, request.folders.recipes)
        return known.with_decision(decision)
    if request.target is None or request.recipe:
        raise RecipeError("--data", "", "--target COLUMN beside it, and no --recipe", request.target)
    features = read_names(sys.stdin.read() if request.features == "-" else request.features or "")
    said = {"features": features, "options": options, "dialect": dialect, "overrides": overrides}
    made: Recipe = load_module("config.default_recipe").recipe_for_data(
        request.data, request.target, model=request.model, **said
    )
    return made.with_decision(decision)


def _options(request: FitRequest) -> DataOptions:
    texts = request.options
    return replace(texts, document=sys.stdin.readline() if texts.document == "-" else texts.document).read()


def _permit(request: FitRequest) -> Permit | None:
    if request.permit is None:
        return None
    if request.job is None:
        raise RecipeError("--permit", "", "--job beside it", None)
    return Permit(request.job, request.permit)


class _Optional:
    """Records events for TensorBoard until the first failure, which is only a warning: the training goes on."""

    def __init__(self, record: Callable[[Event], None], view: Reporter) -> None:
        self._record: Callable[[Event], None] | None = record
        self._view = view

    def __call__(self, event: Event) -> None:
        if self._record is None:
            return
        try:
            self._record(event)
        except Exception as error:
            self._record = None
            message = f"TensorBoard's files could not be written and end here: {sentence(error)}"
            self._view.show(Notice(level="warning", message=message))


def _recorder(request: FitRequest, recipe: Recipe, view: Reporter) -> Callable[[Event], None]:
    """Return a function that writes TensorBoard files, or one that does nothing if they are not requested."""
    if request.tensorboard is None:
        return lambda event: None
    try:
        module = load_module("cli.tensorboard")
    except ModuleNotFoundError as error:
        raise MissingExtra("--tensorboard", "tensorboard") from error
    return _Optional(module.recorder(request.tensorboard, recipe), view)


def _print_report(console: Console, folders: Folders, result: JobResult) -> None:
    if result.version is None:
        return
    found = folders.repository().find(result.model, result.version)
    manifest = found.manifest()
    print_evaluation(console, manifest.metrics["test"], split_title(found, manifest))
    print_comparison(console, manifest)
    pictures = ", ".join(sorted(path.name for path in found.path.glob("*.png")))
    console.print(f"in {found.path}: {pictures}", highlight=False, soft_wrap=True)
