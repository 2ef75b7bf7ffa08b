"""Describe the machine that measures."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
from importlib import metadata
from pathlib import Path

from benchmarks.cores import Cores, load_average
from benchmarks.outcomes import Machine

LIBRARIES = ("torch", "uvicorn", "uvloop", "httptools", "fastapi", "orjson", "numpy")


def describe(cores: Cores) -> Machine:
    """Return what a reader has to know about this machine."""
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        libraries={name: metadata.version(name) for name in LIBRARIES},
        client="wrk" if shutil.which("wrk") else "our own client",
        server_cores=sorted(cores.server),
        client_cores=sorted(cores.client),
        load_average=round(load_average(), 2),
    )


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
