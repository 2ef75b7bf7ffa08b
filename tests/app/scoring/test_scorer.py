"""Parts are scored as requests are, and explained with equal bits each time."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from app.registry.errors import ModelNotReady
from app.scoring.parts import cut_all
from app.scoring.run import bulk_options
from app.scoring.scorer import Scorer, Setup
from app.scoring.sources import find_sources
from modelstore import Background, Conformal, ModelRepository
from tests.app.scoring.samples import write_rows
from tests.fakes import publish

BACKGROUND = Background(rows=((0.2, 0.4), (0.6, 0.4)), weights=(0.75, 0.25))
CONFORMAL = Conformal(
    score="lac",
    rows=9,
    source="split",
    guarantee="marginal",
    scores=tuple(n / 10 for n in range(1, 10)),
    test_coverage={"0.9": (3, 4)},
)
ARROW = "application/vnd.apache.arrow.stream"


def setup(repository: ModelRepository, tmp_path: Path, engine: str | None = None) -> Setup:
    options = bulk_options({"explain": True, "confidence": 0.8}, skip=False, ignore_extra=False)
    return Setup(repository.root / "means" / "1", None, engine, options, ARROW, tmp_path)


def test_explanations_and_sets_are_added_and_a_finished_part_is_not_done_again(
    repository: ModelRepository, tmp_path: Path
) -> None:
    publish(repository, background=BACKGROUND, conformal=CONFORMAL)
    rows = write_rows(tmp_path / "rows.parquet", rows=5)
    with closing(Scorer(setup(repository, tmp_path))) as scorer:
        (part,) = cut_all(find_sources([str(rows)], tmp_path / "o.csv"), scorer.model.schema, 10**6, ignore_extra=False)
        done = scorer.score(part)
        answers = pa.ipc.open_stream((tmp_path / "00000000.answers").read_bytes()).read_all()
        (tmp_path / "00000000.answers").write_bytes(b"as it was")

        assert scorer.score(part) == done
    assert (done.rows, (tmp_path / "00000000.answers").read_bytes()) == (5, b"as it was")
    row = answers.to_pylist()[4]  # left 1, right 0: means 0.5, against 0.35
    assert row["label"] == "low"
    assert row["contribution_left"] == pytest.approx(-0.35)
    assert row["set"] == "low|high"


def test_an_engine_that_is_not_here_is_refused(repository: ModelRepository, tmp_path: Path) -> None:
    publish(repository)

    with pytest.raises(ModelNotReady, match="the engine 'abacus' is not here"):
        Scorer(setup(repository, tmp_path, "abacus"))
