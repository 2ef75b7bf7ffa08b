"""Score parts with one version, in this process.

This module must not know which process it is, or what becomes of the answers.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from app.errors import InvalidInput, ServingError
from app.inference.additions.added import AddedOutputs
from app.inference.additions.explanation import MOST_ROWS, Explainer
from app.inference.codecs import arrow, csv, formats
from app.inference.codecs.blocks import BlockReader, BlockWriter
from app.inference.codecs.formats import BulkOptions
from app.inference.codecs.lines import LineReader
from app.inference.pipeline import BulkRequest
from app.inference.writing import BrokenOff
from app.runtime import devices
from app.runtime import load as runtime
from app.schema import ModelSchema
from app.scoring.answers import CountingWriter, writer_of
from app.scoring.columns import ColumnReader, arrow_columns, parquet_columns
from app.scoring.errors import ScoringError
from app.scoring.part_files import FinishedPart, PartFiles
from app.scoring.parts import DAMAGE, Part, open_text
from app.scoring.sources import PARQUET
from app.scoring.version import find_version, open_version
from app.settings import Settings

_PIECE_BYTES = 1 << 20
_CHANGED = "was written, replaced or removed while it was scored; score it again once it is complete"


@dataclass(frozen=True, slots=True)
class Setup:
    """What every process of a run needs.

    Attributes:
        version: folder of the version.
        key_file: file of the signing keys, if the version must be signed.
        engine: name of the engine that answers; None for the quickest.
        options: what is asked of the rows.
        kind: content type of the answers of a part.
        folder: where finished parts are kept.
    """

    version: Path
    key_file: Path | None
    engine: str | None
    options: BulkOptions
    kind: str
    folder: Path


class Scorer:
    """A version that scores parts, one after the other, in one thread."""

    def __init__(self, setup: Setup) -> None:
        """Load and verify the version.

        Raises:
            FileNotFoundError, InvalidKey.
            ModelNotReady: with the reason, if it fails its checks.
        """
        devices.use_one_thread()
        self._setup, self._files = setup, PartFiles(setup.folder)
        found = find_version(setup.version, setup.key_file)
        load = functools.partial(runtime.load, device="cpu", engine=setup.engine)
        explainer = Explainer(sys.maxsize, MOST_ROWS)
        self._runner = asyncio.Runner()
        try:
            self._opened = self._runner.run(open_version(found, load, Settings.model_construct(), explainer))
        except BaseException:
            self._runner.close()
            raise
        self.model = self._opened.registry.active(found.name)

    def score(self, part: Part) -> FinishedPart:
        """Write the answers of a part, unless that was done before, and return what they are.

        Raises:
            ScoringError: if the part cannot be read, its file has changed since it was cut, or a row is bad where none
                may be.
        """
        done = self._files.find(part.number)
        if done is None:
            try:
                done = self._runner.run(self._write(part))
            except (ServingError, BrokenOff, *DAMAGE) as error:
                problem = _CHANGED if part.source.has_changed() else _describe(error)
                raise ScoringError(f"{part.source.path}: {problem}") from error
            if part.source.has_changed():  # the plan has the hash of what it was, and so must have its parts
                raise ScoringError(f"{part.source.path}: {_CHANGED}")
            self._files.finish(part.number, done)
        return done

    def close(self) -> None:
        """Release the version."""
        self._opened.registry.close()
        self._runner.close()

    async def _write(self, part: Part) -> FinishedPart:
        tallies: list[CountingWriter] = []

        def write(schema: ModelSchema, options: BulkOptions, added: AddedOutputs) -> BlockWriter:
            """Make the writer of the part, which counts rows."""
            tallies.append(CountingWriter(writer_of(self._setup.kind, schema, options, added)))
            return tallies[0]

        schema = self.model.schema
        read = functools.partial(_reader, part)
        request = BulkRequest(schema.name, schema.version, read, write, self._setup.options)
        _, answers = await self._opened.pipeline.answer_stream(request, _body(part))
        with self._files.writing(part.number) as path, path.open("wb") as file:
            async for piece in answers:
                try:
                    file.write(piece)
                    file.flush()
                except OSError as error:
                    raise ScoringError(f"{self._files.folder}: answers cannot be written: {error.strerror}") from error
        (tally,) = tallies
        problems = tuple(f"{part.source.path}, {_unit(part)} {each.row}: {each}" for each in tally.problems)
        return FinishedPart(tally.rows_written, tally.bad, problems, tally.head_bytes)


@functools.lru_cache(maxsize=1)
def scorer_for(setup: Setup) -> Scorer:
    """Return the scorer of this process."""
    return Scorer(setup)


def score_part(setup: Setup, part: Part) -> FinishedPart:
    """Score a part with the scorer of this process; see `Scorer.score`."""
    return scorer_for(setup).score(part)


def _reader(part: Part, schema: ModelSchema, options: BulkOptions) -> BlockReader:
    """Return a reader of the rows of a part, whose numbers are those in the file."""
    if part.source.kind == PARQUET:
        return ColumnReader(parquet_columns(part, schema, ignore_extra=options.ignore_extra), schema, part.first)
    if part.source.kind == arrow.CONTENT_TYPE:
        return ColumnReader(arrow_columns(part, schema, ignore_extra=options.ignore_extra), schema, part.first)
    reader = formats.readers()[part.source.kind](schema, options)
    if part.head:
        list(reader.feed(part.head))
    if part.ranges and isinstance(reader, csv.CsvReader | LineReader):
        reader.continue_at(part.first)
    return reader


async def _body(part: Part) -> AsyncIterator[bytes]:
    """Yield the text of a part; nothing for a table, which its reader opens."""
    if _unit(part) == "row":
        return
    if part.content is not None:
        yield part.content
        return
    begin, end = part.ranges[0] if part.ranges else (0, sys.maxsize)
    with open_text(part.source) as file:
        file.seek(begin)
        while begin < end and (piece := file.read(min(_PIECE_BYTES, end - begin))):
            begin += len(piece)
            yield piece


def _unit(part: Part) -> str:
    return "row" if part.source.kind in (PARQUET, arrow.CONTENT_TYPE) else "line"


def _describe(error: Exception) -> str:
    refused = error.__cause__ if isinstance(error, BrokenOff) else error
    is_row = isinstance(refused, InvalidInput) and any(problem.row is not None for problem in refused.problems)
    return f"{error}; with --on-error skip, such rows get an error in place of an answer" if is_row else str(error)
