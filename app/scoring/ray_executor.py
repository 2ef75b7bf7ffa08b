"""Let parts be scored by Ray Data, on all hosts of a cluster; needs the extra `ray`.

Every host must see the files, the version and the folder of the output under the same paths.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Iterable, Iterator
from typing import Any

from app.scoring.errors import ScoringError
from app.scoring.part_files import FinishedPart, PartFiles
from app.scoring.parts import Part
from app.scoring.scorer import Setup, score_part

LOCAL = "local"
"""Address of a cluster that is started here, for one run."""

_CPUS_OF_ACTOR = 0.5  # so that tasks of Ray Data itself find room beside an actor for each core


def score_on_ray(
    setup: Setup, parts: Iterable[Part], address: str, actors: int | None
) -> Iterator[tuple[Part, FinishedPart]]:
    """Yield parts as they are finished by actors with one version each, in order.

    A part that was lost with its host is scored by another actor. No statistics are sent to Ray's makers.

    Args:
        setup: what every actor needs.
        parts: the parts; the text of compressed files is not sent to other hosts.
        address: address of the cluster, or `LOCAL`.
        actors: number of actors; None for one on each core of the cluster.

    Raises:
        ScoringError: if there is no such cluster, or a part cannot be scored.
    """
    listed, key_file = [_absolute(part) for part in parts], setup.key_file and setup.key_file.resolve()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray.data  # noqa: PLC0415 - an extra

    library: Any = ray
    setup = dataclasses.replace(setup, version=setup.version.resolve(), key_file=key_file)
    here = {"num_cpus": actors, "include_dashboard": False} if address == LOCAL else {}
    try:
        library.init(address, log_to_driver=False, logging_level=logging.ERROR, **here)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ScoringError(f"--ray {address}: {error}") from error
    try:
        context = library.data.DataContext.get_current()
        context.execution_options.preserve_order, context.enable_progress_bars = True, False
        pool = library.data.ActorPoolStrategy(size=actors or max(1, int(library.cluster_resources().get("CPU", 1))))
        rows = library.data.from_items([{"part": part} for part in listed], override_num_blocks=len(listed))
        scored = rows.map_batches(
            _Actor, fn_constructor_args=(setup,), batch_size=1, compute=pool, num_cpus=_CPUS_OF_ACTOR
        )
        for part, row in zip(listed, scored.iter_rows(), strict=True):
            done = PartFiles(setup.folder).find(part.number)
            if row["problem"] or done is None:
                raise ScoringError(row["problem"] or f"{setup.folder}: not every host of the cluster writes here")
            yield part, done
    finally:
        library.shutdown()


class _Actor:
    """A process of a host of the cluster."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Score the part of a batch, and return what is wrong with it, in words."""
        (part,) = batch["part"]
        try:
            score_part(self._setup, part)
        except ScoringError as error:
            return {"problem": [str(error)]}
        return {"problem": [""]}


def _absolute(part: Part) -> Part:
    if part.source.is_compressed:
        raise ScoringError(
            f"{part.source.path}: compressed text is not sent to other hosts; unpack it, or leave out --ray"
        )
    source = dataclasses.replace(part.source, path=part.source.path.resolve())
    return dataclasses.replace(part, source=source)
