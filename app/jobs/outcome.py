"""Determine how a training ended: from its output, its exit status or the model store.

This module must not know tables.
"""

from __future__ import annotations

import os

from app.jobs.process.child import Child
from app.jobs.records import TrainingJob
from modelstore import BrokenVersion, JobResult, ModelRepository, Reason

MIB = 1 << 20
VERSIONS_LOOKED_AT = 100  # newest versions to search: others hardly publish more while a job runs


def end_result(job: TrainingJob, reason: Reason, detail: str) -> JobResult:
    """Return the result of a job that published nothing."""
    return JobResult(reason=reason, detail=detail, model=job.model)


def outcome(job: TrainingJob, child: Child, said: JobResult | None, memory_bytes: int) -> JobResult:
    """Return the result of a training whose process ended by itself; `said` is what it reported, if anything."""
    if said is not None:
        return said
    if child.ran_out_of_memory():
        limit = f"{memory_bytes // MIB} MiB"
        return end_result(job, "out_of_memory", f"it needed more than the {limit} of memory that it may use")
    return end_result(job, "failed", f"the training process ended with {child.last_words()} before it said how it went")


def may_write(repository: ModelRepository, model: str) -> bool:
    """Return whether permissions and mounts allow this process to write versions of a model."""
    folder = repository.root / model
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK | os.X_OK)


def find_published(repository: ModelRepository, job: TrainingJob) -> JobResult | None:
    """Return the successful result of a job that published a version but did not report it; None if it published none.

    Raises:
        OSError: if the store cannot be read.
    """
    for version in repository.versions(job.model)[: -VERSIONS_LOOKED_AT - 1 : -1]:
        if job.version_before is not None and version <= job.version_before:
            break
        try:
            manifest = repository.find(job.model, version).manifest()
        except BrokenVersion:
            continue
        if manifest.lineage.job == job.id:
            return JobResult(
                reason="succeeded",
                detail=f"version {version} was published, but the training process ended before it could say so",
                model=job.model,
                version=version,
                activated=repository.active(job.model) == version,
                gate=manifest.gate,
                metrics=manifest.metrics,
                warnings=manifest.warnings,
            )
    return None
