"""A process that adds training jobs and ends without finishing them; run as `python -m tests.app.orphans FOLDER`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from app.jobstore import JobStatus, JobStore

PROJECT = Path(__file__).resolve().parent.parent.parent


def leave_jobs_behind(folder: Path) -> None:
    """Leave a queued, a running and a finished job of a process that was killed."""
    ended = subprocess.run([sys.executable, "-m", "tests.app.orphans", str(folder)], cwd=PROJECT, check=False)
    assert ended.returncode == -signal.SIGKILL


def main(folder: Path) -> None:
    """Add the jobs and die."""
    store = JobStore(folder)
    store.open()
    for job_id in ("queued", "running", "done"):
        store.add(job_id, "iris", "always", {})
    store.start("running")
    store.finish("done", JobStatus.SUCCEEDED, "succeeded", "fine")
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
