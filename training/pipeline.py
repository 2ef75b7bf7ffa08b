"""One training from recipe to published version, as a stream of events; it must not know who listens."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator

import torch

from modelstore import (
    EpochMetrics,
    GateReport,
    JobResult,
    ModelRepository,
    ModelVersion,
    Notice,
    PublishError,
    Reason,
    StoreError,
)
from training import export, gate
from training.baselines import MAJORITY
from training.candidate import Candidate, attachments, train_candidate
from training.datasets import Dataset, Splits, load_splits
from training.errors import TrainingError
from training.evaluate import evaluate
from training.manifests import build_manifest, golden_rows
from training.nets import logits_of, predictor
from training.recipe import Recipe
from training.runs import TrainingRun

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def train(run: TrainingRun) -> Iterator[EpochMetrics | Notice | JobResult]:
    """Train, measure, publish and perhaps activate; the last event is always a JobResult.

    Nothing is published unless the result names a version. An error that nobody foresaw is logged with its traceback.
    A training has a process to itself: torch is set to one thread, which is fastest for small batches and makes the
    weights independent of the number of cores.
    """
    torch.set_num_threads(1)
    try:
        yield from _train(run)
    except Exception as error:
        reason = reason_for(error)
        if reason == "failed" and not isinstance(error, (TrainingError, StoreError, OSError)):
            logging.getLogger(__name__).exception("an error that nobody foresaw; please report it")
        yield JobResult(reason=reason, detail=_sentence(error), model=run.recipe.model)


def measure_active(repository: ModelRepository, name: str, test: Dataset) -> gate.Rival | None:
    """Return the active version measured on these test rows; None if no version is active."""
    version = repository.active(name)
    if version is None:
        return None
    try:
        found = repository.find(name, version)
        manifest = found.manifest()
        if (manifest.feature_names, manifest.classes) != (test.features, test.classes):
            return gate.Rival(version, problem="has other features or classes; activate by hand if you mean it")
        predict = export.load(found.model_bytes(manifest))
        return gate.Rival(version, evaluate(predict(test.x), test.y, test.classes, "test"))
    except (StoreError, RuntimeError) as error:
        return gate.Rival(version, problem=f"is broken: {_sentence(error)}", broken=True)


def reason_for(error: Exception) -> Reason:
    """Return the machine-readable end of a job that failed with this error."""
    if isinstance(error, TrainingError):
        return error.reason
    if isinstance(error, (PublishError, OSError)) and error.errno in DISK_FULL:
        return "disk_full"
    # torch has no class of its own for this on the CPU
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return "out_of_memory"
    return "failed"


def _train(run: TrainingRun) -> Iterator[EpochMetrics | Notice | JobResult]:
    recipe = run.recipe
    splits = load_splits(recipe.data, run.data_dir)
    yield Notice(message=_introduction(recipe, splits))
    for sentence in splits.warnings:
        yield Notice(level="warning", message=sentence)
    candidate = yield from train_candidate(recipe, splits)
    rival = measure_active(run.repository, recipe.model, splits.test)
    contender = gate.Contender(candidate.metrics["test"], candidate.baselines[MAJORITY], candidate.skill)
    verdict = gate.decide(run.policy, recipe.gate, contender, rival)
    published = _publish(run, splits, candidate, verdict)
    yield _conclude(run, candidate, verdict, published)


def _publish(run: TrainingRun, splits: Splits, candidate: Candidate, verdict: GateReport) -> ModelVersion:
    model = export.to_torchscript(candidate.classifier, splits.train.x)
    manifest = build_manifest(
        run.recipe,
        model,
        splits,
        golden=golden_rows(predictor(candidate.classifier), splits.train, splits.test),
        metrics=candidate.metrics,
        baselines=candidate.baselines,
        gate=verdict,
        job=run.job,
    )
    files = attachments(candidate, run.recipe, splits)
    run.before_publishing()
    return run.repository.publish(manifest, model, files)


def _conclude(run: TrainingRun, candidate: Candidate, verdict: GateReport, published: ModelVersion) -> JobResult:
    """Activate the published version if the gate says so, and return how the training ended."""
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
        return result
    try:
        run.repository.activate(published.name, published.version)
    except StoreError as error:
        detail = f"{name} is published but could not be activated: {_sentence(error)}"
        return result.model_copy(update={"reason": reason_for(error), "detail": detail})
    return result.model_copy(update={"activated": True, "detail": f"{name} is active: {verdict.reason}"})


def _introduction(recipe: Recipe, splits: Splits) -> str:
    settings = recipe.training
    layers = "-".join(map(str, (len(splits.train.features), *settings.hidden, logits_of(len(splits.train.classes)))))
    most = "at most " if settings.patience else ""
    return (
        f"{recipe.model}: training {recipe.network} {layers} on {len(splits.train)} rows, "
        f"{len(splits.test)} test rows held out, {most}{settings.epochs} epochs"
    )


def _sentence(error: Exception) -> str:
    """Return the error's text on one line, with its class where the text alone would say little."""
    text = " ".join(str(error).split())
    return text if isinstance(error, (TrainingError, StoreError)) else f"{type(error).__name__}: {text}"
