"""The confinement of children, on real processes."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.jobs.process.commands import confine, training_environment
from tests.app.runners import alive
from tests.app.waiting import until

MEMORY_BYTES = 1 << 30
PYTHON = [sys.executable, "-I", "-S", "-c"]


def run(source: str, memory_bytes: int = MEMORY_BYTES, niceness: int = 19) -> subprocess.CompletedProcess[str]:
    return confined(confine([*PYTHON, source], memory_bytes, niceness))


def confined(command: list[str], *, close_fds: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command in a session of its own, because its niceness becomes that of the whole session."""
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, start_new_session=True, close_fds=close_fds
    )


@pytest.mark.parametrize("niceness", [0, 7, 19])
def test_child_is_as_nice_as_told_and_the_first_to_go_when_memory_is_short(niceness: int) -> None:
    done = run("import os; print(os.nice(0), open('/proc/self/oom_score_adj').read())", niceness=niceness)

    assert done.stdout.split() == [str(min(19, os.nice(0) + niceness)), "500"]


def test_child_has_no_core_file_and_so_much_memory() -> None:
    done = run("import resource as r; print(r.getrlimit(r.RLIMIT_CORE), r.getrlimit(r.RLIMIT_DATA))")

    assert done.stdout.strip() == f"(0, 0) ({MEMORY_BYTES}, {MEMORY_BYTES})"


@pytest.mark.slow
def test_limit_of_the_system_is_kept_where_it_is_lower() -> None:
    lower = "import resource as r, subprocess as s, sys; r.setrlimit(r.RLIMIT_DATA, (1 << 29, 1 << 29))\n"
    shows = "import resource as r; print(r.getrlimit(r.RLIMIT_DATA)[0])"
    starts = f"import sys; sys.path.insert(0, {str(Path.cwd())!r}); from app.jobs.process.commands import confine; "
    source = f"{starts}{lower}s.run(confine([sys.executable, '-c', {shows!r}], {MEMORY_BYTES}, 0))"

    done = confined([sys.executable, "-c", source])

    assert int(done.stdout) == 1 << 29
    assert resource.getrlimit(resource.RLIMIT_DATA)[0] != 1 << 29


def test_child_that_wants_more_memory_does_not_get_it() -> None:
    done = run("x = bytearray(2 << 30)", MEMORY_BYTES)

    assert (done.returncode, "MemoryError" in done.stderr) == (1, True)


def test_child_inherits_no_file_that_this_process_has_open(tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        command = confine([*PYTHON, "import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))"], MEMORY_BYTES, 0)
        done = confined(command, close_fds=False)

    assert done.stdout.strip() == "[0, 1, 2, 3]"  # the last is the look at the folder itself


def test_child_inherits_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TABSERVE_DATABASE_URL", "TABSERVE_KEYS", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD"):
        monkeypatch.setenv(name, "s3cret")

    environment = training_environment()

    assert "s3cret" not in environment.values()
    assert environment["OMP_NUM_THREADS"] == "1"


def test_f17_child_knows_where_temporary_files_and_caches_go(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TMPDIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, "/srv/scratch")

    environment = training_environment()

    assert (environment["TMPDIR"], environment["MPLCONFIGDIR"]) == ("/srv/scratch", "/srv/scratch")


def test_command_that_is_not_there_is_named() -> None:
    command = confine(["/nowhere/python"], MEMORY_BYTES, 0)

    done = confined(command)

    assert (done.returncode, done.stderr.strip()) == (1, "/nowhere/python cannot be started: No such file or directory")


def test_child_whose_parent_is_gone_before_it_begins_does_nothing() -> None:
    command = confine([*PYTHON, "print('alive')"], MEMORY_BYTES, 0)
    command[command.index("--parent") + 1] = "1"

    done = confined(command)

    assert (done.returncode, done.stdout) == (127, "")


# the sum of a long range runs in C and never looks at signals; ignoring them changes nothing either
STUBBORN = """
import os, signal, sys
for number in range(1, 32):
    try: signal.signal(number, signal.SIG_IGN)
    except OSError: pass
print(os.getpid(), flush=True); sum(range(10 ** 12))
"""
PARENT = """
import subprocess, sys; sys.path.insert(0, sys.argv[1])
from app.jobs.process.commands import confine
subprocess.run(confine([sys.executable, "-c", sys.argv[2]], 1 << 30, 0), start_new_session=True)
"""


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PARENT, str(Path(__file__).parents[4]), STUBBORN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_child_dies_with_its_parent_also_in_the_middle_of_c_code(
    parent: subprocess.Popen[str], how: signal.Signals
) -> None:
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        assert alive(child)
        parent.send_signal(how)
        until(lambda: not alive(child), "the end of the child")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
