"""Receipts of a request's rows: numbered through its blocks, counted, none for bad rows."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import orjson

from app.inference.additions.added import Added
from app.inference.additions.keeping import KeepsNothing
from app.inference.additions.receipt import STEP_ROWS, Receipts
from app.inference.batch_predictions import batch_of
from app.inference.predictions import Predictions
from app.receipts import FIELDS, ReceiptKeys, mac_of, read_receipt
from app.telemetry.counts_by_version import CountsByVersion
from app.telemetry.version_counters import RECEIPTS
from modelstore import SigningKey
from tests.app.inference.additions.test_explanation import Engine, loaded, product

KEYS = ReceiptKeys(SigningKey(b"k" * 32), Path("nowhere"))


def test_rows_are_numbered_through_the_blocks_and_say_their_answers() -> None:
    model, counted = loaded(Engine(product), 2), CountsByVersion()
    receipts = Receipts(KEYS, model, counted.version("means", 1), KeepsNothing())
    x = np.linspace(0, 1, 2 * 300, dtype=np.float32).reshape(300, 2)
    block = Predictions(batch_of(model.schema, x, product(x)), 0, 300)

    async def answer() -> list[Added]:
        found = [await receipts.answer(block, [*range(7), *range(8, 300)]), await receipts.answer(block, [0])]
        assert not counted.figures[RECEIPTS]  # they may still be refused
        await receipts.finish()
        return found

    first, second = asyncio.run(answer())

    texts = first.values[0][:, 0].tolist()
    assert (first.fields[7], texts[7]) == (b"", None)
    assert orjson.loads(b"{" + first.fields[299][1:] + b"}") == {"receipt": texts[299]}
    last, after = (read_receipt(text) for text in (texts[299], second.values[0][0, 0]))
    assert last is not None
    assert after is not None
    mac = mac_of(KEYS.secrets()[0], "means", 1, model.manifest.sha256)
    assert (mac(last.fields), mac(after.fields)) == (last.mac, after.mac)
    assert [int(np.frombuffer(one.fields, FIELDS)[0]["row"]) for one in (last, after)] == [299, 300]
    assert (last.label, last.number) == (1, float(product(x)[299, 1]))
    ((given, since),) = counted.figures[RECEIPTS].values()
    assert (given, since > 1.7e9) == (300, True)
    assert STEP_ROWS < 299  # the block took several steps


def test_equal_answers_to_equal_rows_have_receipts_of_their_own() -> None:
    model, counts = loaded(Engine(product), 2), CountsByVersion().version("means", 1)
    x = np.full((50, 2), 0.5, np.float32)
    block = Predictions(batch_of(model.schema, x, product(x)), 0, 50)

    answers = [Receipts(KEYS, model, counts, KeepsNothing()).answer(block, range(50)) for _ in range(2)]
    found = {text for answer in answers for text in asyncio.run(answer).values[0].ravel()}

    assert len(found) == 100
