from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.training.samples import clouds, typed
from training.data.dataset import Dataset
from training.learners.mlp.batches import Batches, Chunk, class_weights
from training.preprocessing.encoder import Encoder, fit_encoder
from training.preprocessing.scaler import StandardScaler


def unscaled(dataset: Dataset, weights: Tensor | None = None, batch_size: int = 0, seed: int = 0) -> Batches:
    features = dataset.x.shape[1]
    scaler = StandardScaler(torch.zeros(features), torch.ones(features))
    return Batches(dataset, Encoder(nn.Identity(), scaler), weights, batch_size, seed)


def epoch(batches: Batches) -> list[list[Chunk]]:
    return [list(batch.chunks) for batch in batches]


def values(batches: list[list[Chunk]]) -> list[float]:
    """Return the first feature of each row, in the order in which the network sees the rows."""
    return torch.cat([chunk.x[:, 0] for batch in batches for chunk in batch]).tolist()


@pytest.mark.parametrize(("batch_size", "sizes"), [(0, [60]), (7, [7] * 8 + [4]), (60, [60]), (1000, [60])])
def test_every_row_is_in_one_batch_of_an_epoch(batch_size: int, sizes: list[int]) -> None:
    dataset = clouds(60)

    batches = list(unscaled(dataset, batch_size=batch_size))

    assert [batch.rows for batch in batches] == sizes
    assert sorted(values([list(batch.chunks) for batch in batches])) == sorted(dataset.x[:, 0].tolist())


def test_rows_keep_their_classes() -> None:
    dataset = clouds(60, classes=3)

    for batch in epoch(unscaled(dataset, batch_size=16)):
        for chunk in batch:
            for row, label in zip(chunk.x[:, :-1].numpy(), chunk.y[0], strict=True):
                assert dataset.y[(dataset.x == row).all(axis=1)] == label


def test_mini_batches_are_shuffled_anew_by_the_seed() -> None:
    first, second = unscaled(clouds(), batch_size=16, seed=1), unscaled(clouds(), batch_size=16, seed=1)
    orders = [values(epoch(first)), values(epoch(first))]

    assert orders[0] != orders[1]
    assert [values(epoch(second)), values(epoch(second))] == orders
    assert values(epoch(unscaled(clouds(), batch_size=16, seed=2))) != orders[0]


def test_the_full_batch_keeps_the_order_of_the_rows() -> None:
    batches = unscaled(clouds())

    assert values(epoch(batches)) == values(epoch(batches)) == clouds().x[:, 0].tolist()


@pytest.mark.parametrize("batch_size", [0, 50])
@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 2.0])], ids=["alike", "weighed"])
def test_chunks_cut_a_batch_and_its_shares(
    batch_size: int, weights: Tensor | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = epoch(unscaled(clouds(90), weights, batch_size))
    monkeypatch.setattr("training.learners.mlp.batches.CHUNK_ROWS", 7)
    cut = epoch(unscaled(clouds(90), weights, batch_size))

    assert max(chunk.x.shape[0] for batch in cut for chunk in batch) == 7
    for (chunk,), chunks in zip(whole, cut, strict=True):
        for name in ("x", "y", "share"):
            pieces = [getattr(piece, name) for piece in chunks]
            assert torch.equal(torch.cat(pieces, dim=1 if name == "y" else 0), getattr(chunk, name))
        assert float(chunk.share.sum()) == pytest.approx(1, rel=1e-6)


def test_shares_follow_the_class_weights() -> None:
    dataset = clouds(60).rows(np.flatnonzero((clouds(60).y == 0) | (np.arange(60) < 20)))  # 30 and 10 rows
    weights = class_weights(dataset)
    assert weights.tolist() == pytest.approx([40 / 60, 2.0])

    ((chunk,),) = epoch(unscaled(dataset, weights))

    shares = [float(chunk.share[chunk.y[0] == label].sum()) for label in (0, 1)]
    assert shares == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("dataset", [clouds(100, features=3), typed(100)], ids=["numbers", "every type"])
def test_rows_are_encoded_exactly_as_the_model_does(dataset: Dataset) -> None:
    encoder = fit_encoder(dataset)

    ((chunk,),) = epoch(Batches(dataset, encoder, None))

    assert torch.equal(chunk.x[:, :-1], encoder(torch.from_numpy(dataset.x)))
    assert (chunk.x[:, -1] == 1).all()


@pytest.mark.parametrize("batch_size", [0, 32])
def test_rows_that_would_need_too_much_memory_are_encoded_chunk_by_chunk(
    batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = typed(100)
    encoder = fit_encoder(dataset)
    at_once = Batches(dataset, encoder, None, batch_size)
    monkeypatch.setattr("training.learners.mlp.batches.MAX_ENCODED_BYTES", 0)
    by_chunk = Batches(dataset, encoder, None, batch_size)

    for _ in range(2):
        for whole, part in zip(epoch(at_once), epoch(by_chunk), strict=True):
            for ours, theirs in zip(whole, part, strict=True):
                assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
