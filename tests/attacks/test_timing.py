"""Response times reveal nothing about a key, and guessing is slow (S-24)."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import pytest
from scipy.stats import mannwhitneyu

from app.security.keyring import Keyring
from app.security.keys import KeyFile, Scope
from tests.app.sockets import GOOD
from tests.attacks.conftest import Guarded, store_in
from tests.attacks.messages import post, whole
from tests.faults.scenes import rounds
from tests.processes import service
from tests.promises import Measured

pytestmark = [pytest.mark.slow, pytest.mark.alone]

SAMPLES = rounds(20_000, 200_000)
PREDICT = frozenset((Scope.PREDICT,))


def test_right_beginning_of_a_key_takes_as_long_as_a_wrong_one(tmp_path: Path, measured: Measured) -> None:
    file = KeyFile(tmp_path / "keys.json")
    keys = [file.create(PREDICT, None, "") for _ in range(10)]
    ring = Keyring(file)
    ring.load()
    near = (keys[0][:-1] + ("A" if keys[0][-1] != "A" else "B")).encode()
    far = b"tabserve_" + b"0" * 12 + b"_" + b"A" * 43
    took: dict[bytes, list[int]] = {near: [], far: []}
    for number in range(2 * SAMPLES):
        presented = (near, far)[number % 2]
        began = time.perf_counter_ns()
        assert ring.find(presented) is None
        took[presented].append(time.perf_counter_ns() - began)

    apart_us = abs(statistics.median(took[near]) - statistics.median(took[far])) / 1000
    p = float(mannwhitneyu(took[near], took[far]).pvalue)
    measured(
        "S-24", f"{SAMPLES} keys that are right but for the last letter: medians {apart_us:.2f} us apart (p = {p:.2f})"
    )
    assert apart_us < 5 or p > 0.01


def test_a_hundred_wrong_keys_are_slowed_down_and_nobody_else(tmp_path: Path, measured: Measured) -> None:
    store_in(tmp_path)
    file = KeyFile(tmp_path / "keys.json")
    key = file.create(PREDICT, None, "")
    with service(tmp_path, environment={"TABSERVE_KEYS_FILE": str(file.path)}) as (client, process):
        good = Guarded(client, process.pid, {Scope.PREDICT: key}, file, tmp_path)
        wrong = Guarded(client, process.pid, {Scope.PREDICT: f"tabserve_{'0' * 12}_{'A' * 43}"}, file, tmp_path)
        began = time.monotonic()
        statuses = []
        for _ in range(100):
            statuses.append(post(wrong, whole(wrong, GOOD)))
            assert post(good, whole(good, GOOD)) == 200
        took_s = time.monotonic() - began

    first = statuses.index(429)
    assert statuses[:10] == [401] * 10
    assert statuses.count(401) <= 11 + took_s
    measured(
        "S-24", f"100 wrong keys in {took_s:.1f} s: 429 from number {first + 1} on, 100 good ones beside them answered"
    )
