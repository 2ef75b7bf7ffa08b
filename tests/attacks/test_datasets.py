"""Data sets that are expensive to check: no upload waits; a check ends with its client."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from tests.app.sockets import connected, request
from tests.app.waiting import until
from tests.processes import service
from tests.promises import Measured

pytestmark = pytest.mark.slow

CSV = {"content-type": "text/csv"}
BEHIND = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n"


@pytest.mark.parametrize("behind", [b"", BEHIND], ids=["alone", "another behind"])
def test_x5_a_check_that_does_not_end_holds_up_no_small_upload_and_ends_with_its_client(
    behind: bytes, tmp_path: Path, measured: Measured
) -> None:
    small = b"x,y\n" + b"1,a\n2,b\n" * 6
    stuck = b"x,y\n" + b"1,a\n" * 1_200_000  # more than the limit of small uploads
    with service(tmp_path, ready=False) as (client, _):
        with connected(client.base_url) as connection:
            connection.send(request(stuck, "/datasets/stuck", CSV, method="PUT") + behind)
            child = until(lambda: next(iter(checks(tmp_path, "stuck")), None), "its check runs")
            os.kill(child, signal.SIGSTOP)

            assert client.put("/datasets/quick", content=small, headers=CSV, timeout=300).status_code == 201
            assert checks(tmp_path, "stuck") == [child]
            connection.socket.close()
            began = time.monotonic()

            until(lambda: not checks(tmp_path, "stuck"), "the check has ended with its client")
            measured("X-05", f"a check that stands still: gone {time.monotonic() - began:.1f} s after its client")
        until(lambda: not list((tmp_path / "datasets").glob(".incoming*")), "nothing is left")
        assert client.get("/datasets/stuck").status_code == 404


def checks(folder: Path, name: str) -> list[int]:
    """Return the processes that check the file of an arriving data set."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes()
            if str(folder).encode() in command and f"{name}.csv\0--json".encode() in command:
                found.append(int(process.name))
    return found
