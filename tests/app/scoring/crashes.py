"""Score a file in processes that are killed at chosen points.

`python -m tests.app.scoring.crashes FOLDER POINTS`: the folder has the models and `rows.csv`. A point is a
file operation below the folder. A first process counts them; then, for each point, one process kills itself there, and
another one begins again and ends. A line of JSON says what was left.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd  # noqa: F401 - else pyarrow imports it in each of the processes, which is most of what they do

from modelstore import ModelRepository
from tests.app.scoring.samples import score

OPERATIONS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir")
"""Audit events of Python that change files; each is raised before the operation."""


def child(work: Callable[[], object]) -> int:
    """Run work in a process of its own, and return its exit status as `os.waitpid` does."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
            os._exit(1)
    return os.waitpid(pid, 0)[1]


def attempt(folder: Path, output: Path, kill_at: int | None) -> None:
    """Score, note how many operations there were and which parts were written, and perhaps be killed before that."""
    seen: list[str] = []

    def look(event: str, arguments: tuple[object, ...]) -> None:
        """Count an operation, and be killed before it is done."""
        if event in OPERATIONS and str(arguments[0]).startswith(str(output)):
            seen.append(str(arguments[0]))
            if len(seen) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)
    score(ModelRepository(folder / "models"), folder / "rows.csv", output)
    names = [Path(name).name for name in seen]
    written = {name.split(".")[1] for name in names if name.startswith(".0") and not name.endswith(".new")}
    (folder / "note").write_text(json.dumps([len(seen), sorted(written)]))


def main(folder: Path, points: int) -> None:
    """Kill at each point, begin again, and print what was found."""
    whole = folder / "whole.parquet"
    assert child(lambda: attempt(folder, whole, None)) == 0
    operations, _ = json.loads((folder / "note").read_text())
    for point in range(1, points + 1):
        output, at = folder / f"{point}.parquet", 1 + point * (operations - 1) // points
        killed = child(lambda output=output, at=at: attempt(folder, output, at))  # type: ignore[misc]
        kept = sorted(path.stem for path in folder.glob(f"{output.name}.parts/0*.json"))
        again = child(lambda output=output: attempt(folder, output, None))  # type: ignore[misc]
        _, written = json.loads((folder / "note").read_text())
        found = {"signal": os.WTERMSIG(killed), "kept": kept, "again": again, "written": written}
        found["same"] = output.read_bytes() == whole.read_bytes()
        found["left"] = [path.name for path in folder.glob(f"{output.name}.parts")]
        sys.stdout.write(f"{json.dumps(found)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
