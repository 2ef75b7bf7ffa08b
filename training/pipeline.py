"""Run one training from recipe to published version, reporting its events."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace

from modelstore import GateReport, JobResult, ModelVersion, Notice, StoreError, limit_warnings
from modelstore.search import Search
from training.artifact import torchscript
from training.artifact.attachments import make_attachments
from training.artifact.manifest import build_manifest, golden_rows
from training.artifact.onnx.make import make_onnx
from training.champion import measure_champion
from training.config.recipe import Recipe
from training.config.run import TrainingRun
from training.data.dataset import Dataset
from training.data.splits import Splits, load_splits
from training.evaluation import gate
from training.evaluation.candidate import MANY_ROWS, Candidate, make_probe, measure_candidate
from training.evaluation.decisions import choose_decision, require_fitting
from training.evaluation.metrics import Split
from training.evaluation.sets import make_conformal
from training.lazy import load_module
from training.learners.budget import ShouldEnd, never
from training.learners.calibrated import fit_calibrated
from training.learners.mlp.network import logits_of
from training.learners.protocol import Event, Report
from training.outcome import is_expected, reason_for, sentence
from training.threads import use_one_thread

NONE_ACTIVE = (
    "no version of the model is active; until one is, services answer with the newest that proves itself, "
    "those that a gate refused last"
)


class ReportFailed(BaseException):
    """The caller could not take an event; no handler of the training's own failures may take it for one of them."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


def train(run: TrainingRun, report: Report) -> JobResult:
    """Train, measure, publish and, if the gate passes, activate.

    Nothing is published unless the result names a version. An unexpected error is logged with its traceback.
    A training has its own process, which computes with one thread from here on.

    Raises:
        Exception: any exception of `report`, which ends the training.
    """
    use_one_thread()
    warnings: list[str] = []

    def report_and_keep(event: Event) -> None:
        """Report an event; warnings are kept for the result."""
        if isinstance(event, Notice) and event.level == "warning":
            warnings.append(event.message)
        try:
            report(event)
        except Exception as error:
            raise ReportFailed(error) from error

    try:
        return _train(run, report_and_keep, warnings)
    except ReportFailed as failed:
        raise failed.error from None
    except Exception as error:
        if not is_expected(error):
            logging.getLogger(__name__).exception("unexpected error; please report it")
        name, known = run.recipe.model, limit_warnings(warnings)
        return JobResult(reason=reason_for(error), detail=sentence(error), model=name, warnings=known)


def train_candidate(recipe: Recipe, splits: Splits, report: Report, should_end: ShouldEnd = never) -> Candidate:
    """Train on the training split and return the measured candidate.

    Raises:
        DatasetError: if the training split is too small for its validation split, or a row overflows the network.
        Diverged: if the loss is not finite, or ends far above the loss of guessing.
    """
    settings = recipe.training
    train, validation = splits.hold_out(settings.validation_fraction, settings.seed)
    started_s = time.monotonic()
    probe = make_probe(recipe, splits.test)
    fitted = fit_calibrated(settings, train, validation, report, probe, way=splits.way, should_end=should_end)
    train_s = time.monotonic() - started_s
    decision = choose_decision(recipe, fitted, report)
    held_out: dict[Split, Dataset] = {"validation": validation} if validation else {}
    rows: dict[Split, Dataset] = {"train": train, **held_out, "test": splits.test}
    candidate = measure_candidate(fitted, recipe, splits, rows, report, train_s=train_s, decision=decision)
    return replace(candidate, conformal=make_conformal(fitted, recipe, splits, report, should_end))


def _train(run: TrainingRun, report: Report, warnings: Sequence[str]) -> JobResult:
    """Train and publish; `warnings` are those reported so far."""
    recipe = run.recipe
    splits = load_splits(recipe.data, run.data_dir, recipe.training, calibrate=True, feedback=run.feedback)
    require_fitting(recipe, splits.train.classes)
    for file, dialect in splits.dialects.items():
        if written := dialect.describe():
            report(Notice(message=f"{file}: read with {written}"))
    if splits.feedback:
        report(Notice(message=f"{recipe.data.file}: and feedback, {splits.feedback.describe()}"))
    report(Notice(message=_introduce(recipe, splits)))
    left_out = [
        f"{recipe.data.file}, column {column.name!r}: left out ({column.reason}), {column.detail}"
        for column in splits.left_out
        if column.reason != "not_chosen"
    ]
    for warning in (*left_out, *splits.warnings):
        report(Notice(level="warning", message=warning))
    search = None
    if recipe.training.search:
        find = load_module("search.find")
        recipe, search = find.find_settings(recipe, splits, run.studies, report, run.should_end)
        if run.only_search:
            return JobResult(reason="succeeded", detail="settings were tried; nothing is published", model=recipe.model)
        run.search_ended()
        run = replace(run, recipe=recipe)
    candidate = train_candidate(recipe, splits, report, run.should_end)
    champion = measure_champion(run.repository, recipe.model, splits, candidate.predict)
    verdict = gate.decide(run.policy, recipe.gate, candidate.metrics["test"], candidate.skill, champion)
    if len(splits.train) > MANY_ROWS:
        report(Notice(message=f"describing {len(splits.train):,} rows for the manifest"))
    published = _publish(run, splits, candidate, verdict=verdict, search=search, report=report, warnings=warnings)
    result = _conclude(run, candidate, verdict, published)
    for warning in result.warnings:
        report(Notice(level="warning", message=warning))
    _prune(run, report)
    return result.model_copy(update={"warnings": limit_warnings((*result.warnings, *warnings))})


def _publish(
    run: TrainingRun,
    splits: Splits,
    candidate: Candidate,
    *,
    verdict: GateReport,
    search: Search | None,
    report: Report,
    warnings: Sequence[str],
) -> ModelVersion:
    files = make_attachments(candidate, run.recipe, splits, report, pictures=run.pictures)  # may warn in the manifest
    model = torchscript.to_torchscript(candidate.module, splits.train.x)
    golden = golden_rows(candidate.predict, splits.train, splits.test)
    onnx = make_onnx(candidate.module, torchscript.load(model), golden, splits.train, report)
    manifest = build_manifest(
        candidate,
        run.recipe,
        splits,
        model,
        golden=golden,
        gate=verdict,
        job=run.job,
        search=search,
        onnx=onnx,
        warnings=limit_warnings(warnings),
    )
    run.before_publishing()
    return run.repository.publish(manifest, model, files, run.permit, onnx)


def _conclude(run: TrainingRun, candidate: Candidate, verdict: GateReport, published: ModelVersion) -> JobResult:
    """Activate the published version, or make it a shadow, as the gate decided; return the result of the training."""
    name = f"{published.name} version {published.version}"
    result = JobResult(
        reason="succeeded",
        detail=f"{name} is published but not active: {verdict.reason}",
        model=published.name,
        version=published.version,
        gate=verdict,
        metrics=dict(candidate.metrics),
        leaders=candidate.leaders,
    )
    if not (verdict.passed or verdict.shadow):
        answers = run.repository.active(published.name) is None
        return result.model_copy(update={"warnings": (NONE_ACTIVE,) if answers else ()})
    try:
        if verdict.shadow:
            run.repository.start_shadow(published.name, published.version)
            return result.model_copy(update={"detail": f"{name} is the shadow of the active version: {verdict.reason}"})
        run.repository.activate(published.name, published.version)
    except StoreError as error:
        what = "made the shadow" if verdict.shadow else "activated"
        detail = f"{name} is published but could not be {what}: {sentence(error)}"
        return result.model_copy(update={"reason": reason_for(error), "detail": detail})
    return result.model_copy(update={"activated": True, "detail": f"{name} is active: {verdict.reason}"})


def _prune(run: TrainingRun, report: Report) -> None:
    """Remove old versions and report it; a failure is only a warning."""
    if run.keep is None:
        return
    name = run.recipe.model
    try:
        removed = run.repository.prune(name, run.keep)
    except StoreError as error:
        message = f"old versions of {name} could not be removed: {sentence(error)}"
        report(Notice(level="warning", message=message))
        return
    if removed:
        versions = f"version{'s' if len(removed) > 1 else ''} {', '.join(map(str, removed))}"
        report(Notice(message=f"{name}: removed {versions}; the newest {run.keep} are kept"))


def _introduce(recipe: Recipe, splits: Splits) -> str:
    settings, rows = recipe.training, f"{len(splits.train)} rows, {len(splits.test)} test rows held out"
    if splits.calibration:
        rows += f", {len(splits.calibration)} kept for prediction sets"
    if settings.learner != "mlp":
        return f"{recipe.model}: training {settings.learner} on {rows}"
    columns, all_numbers = splits.train.columns, all(column.type == "numeric" for column in splits.train.columns)
    inputs = len(columns) if all_numbers else f"({len(columns)} columns)"  # the encoder makes more inputs of them
    layers = "-".join(map(str, (inputs, *settings.hidden, logits_of(len(splits.train.classes)))))
    most = "at most " if settings.patience else ""
    return f"{recipe.model}: training {recipe.network} {layers} on {rows}, {most}{settings.epochs} epochs"
