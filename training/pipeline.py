"""Run one training from recipe to published version, as a stream of events."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence

import torch

from modelstore import (
    EpochMetrics,
    GateReport,
    JobResult,
    ModelRepository,
    ModelVersion,
    Notice,
    StoreError,
    bounded,
)
from modelstore.reading import column_name
from training.artifact import torchscript
from training.artifact.manifest import build_manifest, golden_rows
from training.config.recipe import Recipe
from training.config.run import TrainingRun
from training.data.splits import Dataset, Splits, load_splits
from training.evaluation import gate
from training.evaluation.baselines import MAJORITY
from training.evaluation.candidate import MANY_ROWS, Candidate, attachments, train_candidate
from training.evaluation.metrics import chunks, evaluate_chunks
from training.learners.mlp.network import logits_of
from training.learners.protocol import predictor
from training.outcome import foreseen, reason_for, sentence

NONE_ACTIVE = (
    "no version of the model is active; until one is, services answer with the newest that proves itself, "
    "those that a gate refused last"
)


def train(run: TrainingRun) -> Iterator[EpochMetrics | Notice | JobResult]:
    """Train, measure, publish and, if the gate passes, activate; the last event is always a JobResult.

    Nothing is published unless the result names a version. An unexpected error is logged with its traceback.
    A training has its own process: torch is set to one thread, which is fastest for small batches and makes the weights
    independent of the number of cores.
    """
    torch.set_num_threads(1)
    warnings: list[str] = []
    try:
        for event in _train(run, warnings):
            if isinstance(event, Notice) and event.level == "warning":
                warnings.append(event.message)
            yield event
    except Exception as error:
        if not foreseen(error):
            logging.getLogger(__name__).exception("an error that nobody foresaw; please report it")
        name, known = run.recipe.model, bounded(warnings)
        yield JobResult(reason=reason_for(error), detail=sentence(error), model=name, warnings=known)


def measure_active(repository: ModelRepository, name: str, test: Dataset) -> gate.Rival | None:
    """Measure the active version on the given test rows; return None if no version is active."""
    version = repository.active(name)
    if version is None:
        return None
    try:
        found = repository.find(name, version)
        manifest = found.manifest()
        features = tuple(map(column_name, manifest.feature_names))  # old manifests have the names as in the file
        if (features, manifest.classes) != (test.features, test.classes):
            return gate.Rival(version, problem="has other features or classes; activate by hand if you mean it")
        predict = torchscript.load(found.model_bytes(manifest))
        answers = ((predict(test.x[part]), test.y[part]) for part in chunks(len(test)))
        return gate.Rival(version, evaluate_chunks(answers, test.classes, "test"))
    except (StoreError, RuntimeError) as error:
        return gate.Rival(version, problem=f"is broken: {sentence(error)}", broken=True)


def _train(run: TrainingRun, warnings: Sequence[str]) -> Iterator[EpochMetrics | Notice | JobResult]:
    """Yield the events of the training; `warnings` are those yielded so far."""
    recipe = run.recipe
    splits = load_splits(recipe.data, run.data_dir, recipe.training)
    yield Notice(message=_introduction(recipe, splits))
    for warning in splits.warnings:
        yield Notice(level="warning", message=warning)
    candidate = yield from train_candidate(recipe, splits)
    rival = measure_active(run.repository, recipe.model, splits.test)
    contender = gate.Contender(candidate.metrics["test"], candidate.baselines[MAJORITY], candidate.skill)
    verdict = gate.decide(run.policy, recipe.gate, contender, rival)
    if len(splits.train) > MANY_ROWS:
        yield Notice(message=f"describing {len(splits.train):,} rows for the manifest")
    published = yield from _publish(run, splits, candidate, verdict, warnings)
    result = _conclude(run, candidate, verdict, published)
    for warning in result.warnings:
        yield Notice(level="warning", message=warning)
    yield from _pruned(run)
    yield result.model_copy(update={"warnings": bounded((*result.warnings, *warnings))})


def _publish(
    run: TrainingRun, splits: Splits, candidate: Candidate, verdict: GateReport, warnings: Sequence[str]
) -> Generator[Notice, None, ModelVersion]:
    files = yield from attachments(candidate, run.recipe, splits)  # first, because its warnings go into the manifest
    model = torchscript.to_torchscript(candidate.classifier, splits.train.x)
    manifest = build_manifest(
        run.recipe,
        model,
        splits,
        golden=golden_rows(predictor(candidate.classifier), splits.train, splits.test),
        metrics=candidate.metrics,
        baselines=candidate.baselines,
        gate=verdict,
        job=run.job,
        warnings=bounded(warnings),
    )
    run.before_publishing()
    return run.repository.publish(manifest, model, files, run.permit)


def _conclude(run: TrainingRun, candidate: Candidate, verdict: GateReport, published: ModelVersion) -> JobResult:
    """Activate the published version if it passed the gate, and return the result of the training."""
    name = f"{published.name} version {published.version}"
    result = JobResult(
        reason="succeeded",
        detail=f"{name} is published but not active: {verdict.reason}",
        model=published.name,
        version=published.version,
        gate=verdict,
        metrics=dict(candidate.metrics),
    )
    if not verdict.passed:
        answers = run.repository.active(published.name) is None
        return result.model_copy(update={"warnings": (NONE_ACTIVE,) if answers else ()})
    try:
        run.repository.activate(published.name, published.version)
    except StoreError as error:
        detail = f"{name} is published but could not be activated: {sentence(error)}"
        return result.model_copy(update={"reason": reason_for(error), "detail": detail})
    return result.model_copy(update={"activated": True, "detail": f"{name} is active: {verdict.reason}"})


def _pruned(run: TrainingRun) -> Iterator[Notice]:
    """Prune old versions and yield a notice about it; a failure is only a warning."""
    if run.keep is None:
        return
    name = run.recipe.model
    try:
        removed = run.repository.prune(name, run.keep)
    except StoreError as error:
        yield Notice(level="warning", message=f"old versions of {name} could not be removed: {sentence(error)}")
        return
    if removed:
        yield Notice(message=f"{name}: removed {_versions(removed)}; the newest {run.keep} are kept")


def _versions(numbers: tuple[int, ...]) -> str:
    return f"version{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _introduction(recipe: Recipe, splits: Splits) -> str:
    settings = recipe.training
    layers = "-".join(map(str, (len(splits.train.features), *settings.hidden, logits_of(len(splits.train.classes)))))
    most = "at most " if settings.patience else ""
    return (
        f"{recipe.model}: training {recipe.network} {layers} on {len(splits.train)} rows, "
        f"{len(splits.test)} test rows held out, {most}{settings.epochs} epochs"
    )
