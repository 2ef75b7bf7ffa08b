"""Score whole files with one version, in order, also if the run was interrupted."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.errors import InvalidInput, ServingError
from app.inference.codecs.formats import BulkOptions
from app.inference.decision import Override
from app.inference.options import read_flat
from app.scoring.answers import MOST_PROBLEMS, OUTPUTS, AnswersOutput
from app.scoring.errors import ScoringError
from app.scoring.executors import score_here, score_in_processes
from app.scoring.part_files import FinishedPart, PartFiles, read_record, settle
from app.scoring.parts import Part, cut_all
from app.scoring.plan import ENGINE, difference, plan_of
from app.scoring.ray_executor import score_on_ray
from app.scoring.scorer import Scorer, Setup
from app.scoring.sources import Source, find_sources
from app.scoring.version import find_version
from modelstore import InvalidKey, ModelVersion, disk
from modelstore.names import MANIFEST_FILE

PART_BYTES = 16 << 20
RECORD = "score.json"
_OCCUPIED = "is there already and is not the output of this run; choose another name, or say --overwrite"
FAILURES = (ScoringError, ServingError, InvalidKey)


@dataclass(frozen=True, slots=True)
class ScoringRequest:
    """What a run is to do.

    Attributes:
        version: folder of the version, or of a model whose active version is meant.
        key_file: file of the signing keys, if the version must be signed.
        inputs: files, folders and patterns.
        output: file of the answers; its suffix says the format.
        options: what is asked of the rows.
        workers: number of processes, one core each; None for all cores.
        part_bytes: about how much of a file is one part.
        overwrite: replace the output, and what an interrupted run has left.
        ray: address of a Ray cluster that scores, or `local` for one that is started here; None for processes.
    """

    version: Path
    key_file: Path | None
    inputs: tuple[str, ...]
    output: Path
    options: BulkOptions
    workers: int | None = 1
    part_bytes: int = PART_BYTES
    overwrite: bool = False
    ray: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes:
        rows: rows that are answered, with the bad ones.
        bad: rows with a problem in place of an answer.
        problems: the first of them, in words.
        parts: number of parts that are finished.
        size_bytes: bytes of the input files that are done.
        total_bytes: size of the input files.
    """

    rows: int
    bad: int
    problems: tuple[str, ...]
    parts: int
    size_bytes: int
    total_bytes: int

    def after(self, part: Part, done: FinishedPart) -> Progress:
        """Return the progress after one more part."""
        problems = (*self.problems, *done.problems)[:MOST_PROBLEMS]
        size = self.size_bytes + part.size_bytes
        return Progress(self.rows + done.rows, self.bad + done.bad, problems, self.parts + 1, size, self.total_bytes)


Show = Callable[[Progress], None]


def score(wanted: ScoringRequest, show: Show) -> dict[str, Any]:
    """Score files, and return the record of the run, which is also written beside the output; show each part.

    Raises:
        ScoringError: if a file cannot be scored, or the output belongs to another run.
        FileNotFoundError: if there is no version.
        InvalidKey, ServingError: if the version cannot be used.
    """
    _require_place(wanted.output)
    sources = find_sources(wanted.inputs, wanted.output)
    found = find_version(wanted.version, wanted.key_file)
    record = _find_record(wanted.output)
    if wanted.output.exists() and record is None and not wanted.overwrite:
        raise ScoringError(f"{wanted.output}: {_OCCUPIED}")
    files = PartFiles(beside(wanted.output, "parts"))
    with files.lock():
        plan = plan_of(found, sources, wanted.options, wanted.output, wanted.part_bytes)
        other = difference(record["plan"], plan) if record is not None else None
        if other and not wanted.overwrite:
            raise ScoringError(f"{wanted.output}: {_OCCUPIED} (it has another {other})")
        if record is None or wanted.overwrite:
            record = _Run(wanted, found, sources, files, plan).record(show)
        files.remove()
    return record


def bulk_options(given: Mapping[str, Any], *, skip: bool, ignore_extra: bool) -> BulkOptions:
    """Return what flat options ask for, as those of the query of `POST /predict`.

    Args:
        given: `explain`, `confidence`, `threshold` and `strict`; None where it is not said.
        skip: give a bad row its problem in place of an answer.
        ignore_extra: ignore columns that the version does not know.

    Raises:
        InvalidInput: naming the option that is wrong.
    """
    threshold = given.get("threshold")
    if threshold is not None and not 0 < threshold < 1:
        raise InvalidInput("threshold: must be above 0 and below 1")
    override = None if threshold is None else Override(threshold)
    return BulkOptions(ignore_extra, skip, replace(read_flat(given), strict=given.get("strict"), override=override))


def beside(output: Path, what: str) -> Path:
    """Return the path of what belongs to an output, such as its record."""
    return output.with_name(f"{output.name}.{what}")


def _require_place(output: Path) -> None:
    if output.suffix not in OUTPUTS:
        raise ScoringError(f"{output}: expected a name that ends in {', '.join(OUTPUTS)}")
    if not output.parent.is_dir():
        raise ScoringError(f"{output}: the folder {output.parent} does not exist; make it first")


def _find_record(output: Path) -> dict[str, Any] | None:
    """Return the record of an output that is there, if it has one."""
    return read_record(beside(output, RECORD), "plan") if output.exists() else None


@dataclass(frozen=True, slots=True)
class _Run:
    """A run that is not finished, or not even begun."""

    wanted: ScoringRequest
    found: ModelVersion
    sources: Sequence[Source]
    files: PartFiles
    plan: dict[str, Any]

    def record(self, show: Show) -> dict[str, Any]:
        """Score all parts that are not finished, write the output and what belongs to it, and return the record."""
        began, output = time.monotonic(), self.wanted.output
        aside = self.files.folder / f".output{output.suffix}"
        scorer, setup = self._begin()
        with closing(scorer), closing(OUTPUTS[output.suffix][1](aside)) as joined:
            kept = len(self.files.list_finished())
            progress = self._join(joined, self._results(scorer, setup), show)
        record = {
            "output": output.name,
            "model": self.found.name,
            "version": self.found.version,
            "rows": progress.rows,
            "rows_with_error": progress.bad,
            "first_errors": list(progress.problems),
            "parts": progress.parts,
            "parts_of_earlier_runs": kept,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "took_s": round(time.monotonic() - began, 3),
            "plan": self.plan | {ENGINE: setup.engine},
        }
        output.unlink(missing_ok=True)  # an interruption must not leave the new record beside an old output
        disk.replace(beside(output, "manifest.json"), (self.found.path / MANIFEST_FILE).read_bytes())
        disk.replace(beside(output, RECORD), json.dumps(record, indent=2).encode() + b"\n")
        settle(aside, output)
        return record

    def _begin(self) -> tuple[Scorer, Setup]:
        """Load the version, with the engine that an earlier attempt used, and write the plan of a new run."""
        wanted, begun = self.wanted, self.files.plan()
        other = difference(begun, self.plan) if begun is not None else None
        if other and self.files.list_finished() and not wanted.overwrite:
            problem = f"holds a run that was interrupted and has another {other}"
            raise ScoringError(f"{self.files.folder}: {problem}; go on with that one, or say --overwrite")
        engine = begun[ENGINE] if begun is not None and not other else None
        kind, _ = OUTPUTS[wanted.output.suffix]
        setup = Setup(self.found.path, wanted.key_file, engine, wanted.options, kind, self.files.folder.resolve())
        scorer = Scorer(setup)
        setup = replace(setup, engine=scorer.model.engine.name)
        if engine is None:
            self.files.begin(self.plan | {ENGINE: setup.engine})
        return scorer, setup

    def _results(self, scorer: Scorer, setup: Setup) -> Iterator[tuple[Part, FinishedPart]]:
        wanted = self.wanted
        schema, ignore_extra = scorer.model.schema, wanted.options.ignore_extra
        parts = cut_all(self.sources, schema, wanted.part_bytes, ignore_extra=ignore_extra)
        if wanted.ray is not None:
            return score_on_ray(setup, parts, wanted.ray, wanted.workers)
        workers = wanted.workers or len(os.sched_getaffinity(0))
        return score_in_processes(setup, parts, workers) if workers > 1 else score_here(scorer, parts)

    def _join(self, joined: AnswersOutput, results: Iterator[tuple[Part, FinishedPart]], show: Show) -> Progress:
        """Put the answers of all parts together as they are finished."""
        progress = Progress(0, 0, (), 0, 0, sum(source.size_bytes for source in self.sources))
        for part, done in results:
            joined.add(self.files.answers(part.number), done.head_bytes)
            progress = progress.after(part, done)
            show(progress)
        return progress
