"""The `fit` and `ensure` commands: from arguments to events and an exit code.

torch and scikit-learn are imported only when a training begins.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console

from modelstore import (
    AbstainPolicy,
    Activation,
    CardStatements,
    DecisionPolicy,
    Dialect,
    InvalidKey,
    InvalidName,
    JobResult,
    Notice,
    Permit,
    check_name,
    check_new_name,
)
from modelstore.progress import SEARCH_ENDED
from training.cli.cancellation import Cancellation, Cancelled
from training.cli.progress import Event, Reporter, reporter
from training.cli.recording import recorder_for
from training.cli.report import print_comparison, print_coverage, print_evaluation, print_search, split_title
from training.config.options import DialectTexts, OptionTexts, read_feedback, read_record
from training.config.recipe import Recipe, load_recipe, recipe_names
from training.config.run import Folders, TrainingRun, read_names, read_overrides, recipe_for
from training.errors import RecipeError, TrainingError
from training.lazy import load_module
from training.outcome import reason_for, sentence
from training.search.workers import run_workers

FINISHING = (
    "Ctrl-C: the training ends soon with what it has learnt, a search with the best of what it has tried; "
    "again, and all stops without a version"
)
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
    abstain: str | None = None
    card: str | None = None
    feedback: str | None = None
    assignments: Sequence[str] = ()
    overrides: str | None = None
    seed: int | None = None
    policy: Activation | None = None
    job: str | None = None
    permit: str | None = None
    keep: int | None = None
    json_lines: bool = False
    tensorboard: Path | None = None
    search: int | None = None
    workers: int = 1
    only_search: bool = False
    database: str | None = None

    @property
    def name(self) -> str:
        """Return the model's name, or the default name made from the data file."""
        if self.model or not self.data:
            return self.model or ""
        name: str = load_module("config.default_recipe").name_for(self.data)
        return name


def fit(request: FitRequest, console: Console, errors: Console) -> int:
    """Train, publish, report, and return the exit code.

    Events and the report go to `console`, where the last of JSON lines is always a JobResult; a failure to `errors`.
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
    database = sys.stdin.readline().strip() if request.database == "-" else request.database
    feedback = read_feedback(sys.stdin.readline() if request.feedback == "-" else request.feedback)
    recipe = _recipe(request)
    check_new_name(recipe.model)
    data_dir = request.data.parent if request.data else request.folders.data
    view.show(Notice(message=f"{recipe.model}: loading PyTorch and scikit-learn"))
    record = recorder_for(request.tensorboard, recipe, view)
    run = TrainingRun(
        recipe=recipe,
        data_dir=data_dir,
        repository=request.folders.repository(),
        policy=request.policy or recipe.activate,
        job=request.job,
        permit=_permit(request),
        keep=request.keep,
        database=database,
        feedback=feedback,
        only_search=request.only_search,
        before_publishing=cancellation.too_late,
        should_end=lambda: cancellation.end_requested,
        search_ended=cancellation.search_ended,
    )
    told = False

    def report(event: Event) -> None:
        """Record an event and show it; after Ctrl-C, say once what it does, and when it no longer counts."""
        nonlocal told
        if cancellation.end_requested != told:
            view.show(Notice(message=SEARCH_ENDED if told else FINISHING))
            told = not told
        record(event)
        view.show(event)

    with run_workers(_count_workers(request, recipe), sys.argv[1:]):
        result: JobResult = load_module("pipeline").train(run, report)
    record(result)
    return result, SUCCEEDED if result.reason == "succeeded" else FAILED


def _count_workers(request: FitRequest, recipe: Recipe) -> int:
    """Return how many further processes the search has.

    Raises:
        RecipeError: if there is no search, or a value comes from standard input, which they do not have.
    """
    if not recipe.training.search and (request.workers > 1 or request.only_search):
        raise RecipeError("--workers" if request.workers > 1 else "--only-search", "", "--search N beside it", None)
    read = (request.features, request.options.document, request.decision, request.abstain, request.card)
    if request.workers > 1 and "-" in (*read, request.database, request.feedback):
        raise RecipeError("--workers", "", "all values in the command, none from standard input", "-")
    return request.workers - 1


def _recipe(request: FitRequest) -> Recipe:
    overrides = read_overrides(request.overrides, request.assignments, request.seed, request.search)
    options = replace(request.options, document=_line(request.options.document)).read()
    dialect = request.dialect.read()
    decision = read_record("decision", _line(request.decision), DecisionPolicy)
    abstain = read_record("abstain", _line(request.abstain), AbstainPolicy)
    card = read_record("card", _line(request.card), CardStatements)
    if request.data is None:
        told = request.target or request.features or options.to_dict() or dialect != Dialect()
        if told or request.model is None:
            expected = "the NAME of a recipe, or --data FILE --target COLUMN with its options"
            raise RecipeError("fit", "", expected, request.model)
        known = recipe_for(check_name(request.model), request.recipe, overrides, request.folders.recipes)
        return known.with_policies(decision, abstain, card)
    if request.target is None or request.recipe:
        raise RecipeError("--data", "", "--target COLUMN beside it, and no --recipe", request.target)
    features = read_names(sys.stdin.read() if request.features == "-" else request.features or "")
    said = {"features": features, "options": options, "dialect": dialect, "overrides": overrides}
    made: Recipe = load_module("config.default_recipe").recipe_for_data(
        request.data, request.target, model=request.model, **said
    )
    return made.with_policies(decision, abstain, card)


def _line(document: str | None) -> str | None:
    """Return a document, or the next line of standard input in place of `-`."""
    return sys.stdin.readline() if document == "-" else document


def _permit(request: FitRequest) -> Permit | None:
    if request.permit is None:
        return None
    if request.job is None:
        raise RecipeError("--permit", "", "--job beside it", None)
    return Permit(request.job, request.permit)


def _print_report(console: Console, folders: Folders, result: JobResult) -> None:
    if result.version is None:
        return
    found = folders.repository().find(result.model, result.version)
    manifest = found.manifest()
    print_evaluation(console, manifest.metrics["test"], split_title(found, manifest))
    print_coverage(console, manifest.conformal)
    if manifest.search:
        print_search(console, manifest.search)
    print_comparison(console, manifest)
    pictures = ", ".join(sorted(path.name for path in found.path.glob("*.png")))
    console.print(f"in {found.path}: {pictures}", highlight=False, soft_wrap=True)
