"""Versions are loaded in a process that may be lost, before they are loaded here.

With real processes and real models.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelstore import ModelRepository
from tests.fakes import publish
from tests.faults.scenes import gone, working_for
from tests.processes import service
from tests.promises import Measured

PROJECT = Path(__file__).parents[4]
Run = Callable[[str], list[str]]
PROLOGUE = """
    import hashlib, json, os, signal, sys, torch
    from pathlib import Path
    from app.runtime import trial as runtime
    from app.runtime.verify import sandbox as trial
    from app.runtime.errors import VersionRefused
    from tests.app import broken
    from tests.app.hostile import code_bomb
    from tests.fakes import MeanModel, manifest_for, script
    from tests.onnx_models import mean_onnx

    torch.set_num_threads(1)

    def ask(process, module, file="model.pt"):
        model = module if isinstance(module, bytes) else script(module)
        try:
            process(manifest_for(MeanModel(2, 0.0), model), 1, model, file)
            return "well"
        except VersionRefused as refused:
            return refused.reason
"""


FORKING = """
for line in sys.stdin:
    program, folder = json.loads(line)
    if (forked := os.fork()) == 0:
        os.chdir(folder)
        for descriptor, stream in enumerate((os.devnull, "said", "complained")):
            os.dup2(os.open(stream, os.O_RDWR | os.O_CREAT), descriptor)
        exec(program)
        break
    print(os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def forking() -> Iterator[subprocess.Popen[str]]:
    """Start a process that has made the imports and forks for each program: it has no threads."""
    command = [sys.executable, "-c", textwrap.dedent(PROLOGUE) + FORKING]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment, text=True) as process:
        yield process


@pytest.fixture
def run(forking: subprocess.Popen[str], tmp_path: Path) -> Run:
    """Return what runs a program in a process of its own and returns what it printed."""

    def run_it(program: str) -> list[str]:
        assert forking.stdin is not None
        assert forking.stdout is not None
        print(json.dumps((textwrap.dedent(program), str(tmp_path))), file=forking.stdin, flush=True)
        assert forking.stdout.readline() == "0\n", (tmp_path / "complained").read_text()
        return (tmp_path / "said").read_text().split()

    return run_it


@pytest.mark.slow
def test_good_version_is_loaded_and_a_bad_one_is_refused_for_the_reason_it_would_have_here(run: Run) -> None:
    said = run("""
        process = trial.TrialProcess.fork(runtime.try_out)
        for module in (MeanModel(2, 0.0), MeanModel(2, 0.01), broken.Raises(2, 0.0), b"text", MeanModel(2, 0.0)):
            print(ask(process, module))
        for shift in (0.0, 0.01):
            print(ask(process, mean_onnx(shift), "model.onnx"))
        process.close()
    """)
    assert said == ["well", "golden_mismatch", "run_failed", "load_failed", "well", "well", "golden_mismatch"]


@pytest.mark.slow
def test_version_that_kills_its_process_is_refused_and_the_next_is_tried_all_the_same(run: Run) -> None:
    said = run("""
        def attempt(manifest, version, model, file):
            if b"kill" in model:
                os.kill(os.getpid(), signal.SIGSEGV)
            if b"leave" in model:
                os._exit(3)
            if b"wait" in model:
                signal.pause()
            if len(model) > 4:
                runtime.try_out(manifest, version, model, file)

        trial.DEADLINE_S = 2.0  # for the endless ones; the others end long before
        process = trial.TrialProcess.fork(attempt)
        for model in (b"kill", b"leave", b"wait", code_bomb(), b"good"):
            print(ask(process, model))
        os.kill(process.pid, signal.SIGKILL)
        os.waitpid(process.pid, 0)
        print(ask(process, b"good"))
    """)
    assert said.pop(3) in ("trial_crashed", "trial_timed_out")  # the bomb has so many seconds of a processor, too
    assert said == ["trial_crashed", "trial_crashed", "trial_timed_out", "well", "trial_unavailable"]


@pytest.mark.slow
def test_version_for_which_no_process_can_be_started_is_refused_and_the_next_is_tried_all_the_same(run: Run) -> None:
    said = run("""
        import resource

        process = trial.TrialProcess.fork(runtime.try_out)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        for limit in (3, soft):
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (limit, hard))
            print(ask(process, MeanModel(2, 0.0)))
        process.close()
    """)
    assert said == ["trial_unavailable", "well"]


@pytest.mark.slow
def test_attempt_can_neither_write_nor_take_all_memory_nor_reach_the_network(run: Run, tmp_path: Path) -> None:
    said = run("""
        import socket

        def attempt(manifest, version, model, file):
            try:
                eval(model)
            except Exception as error:
                raise VersionRefused("means", 1, type(error).__name__, "as it should be")

        listener = socket.create_server(("127.0.0.1", 0))
        address = listener.getsockname()
        process = trial.TrialProcess.fork(attempt)
        for line in ("Path('canary').write_text('x')", "bytearray(3 << 30)", "[open('/dev/null') for _ in range(99)]"):
            print(ask(process, line.encode()))
        apart = f"1 / (os.readlink('/proc/self/ns/net') != '{os.readlink('/proc/self/ns/net')}')"
        if ask(process, apart.encode()) == "well":
            print(ask(process, f"socket.create_connection({address}, 2)".encode()))  # it has a network of its own
        process.close()
    """)
    assert said[:3] == ["OSError", "MemoryError", "OSError"]
    assert said[3:] in ([], ["OSError"], ["ConnectionRefusedError"])
    assert not (tmp_path / "canary").exists() or not (tmp_path / "canary").read_text()


@pytest.mark.slow
def test_process_is_gone_with_the_service_even_if_that_is_killed(run: Run) -> None:
    (pid,) = run("""
        process = trial.TrialProcess.fork(runtime.try_out)
        ask(process, MeanModel(2, 0.0))
        print(process.pid, flush=True)
        if os.fork() == 0:
            os._exit(0)
    """)
    gone(int(pid))


@pytest.mark.slow
def test_signal_to_the_whole_group_does_not_end_it_before_the_service(run: Run, tmp_path: Path) -> None:
    said = run("""
        process = trial.TrialProcess.fork(runtime.try_out)
        ask(process, MeanModel(2, 0.0))
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(process.pid, number)
            print(ask(process, MeanModel(2, 0.0)))
    """)
    assert said == ["well", "well"]


def memory_mb(pid: int) -> dict[str, int]:
    """Return the memory of a process by kind (RSS, PSS, private), in MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {kind: int(amount.split()[0]) >> 10 for kind, amount in (line.split(":") for line in lines)}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="memory is read from /proc, which is not here")
def test_the_process_that_tries_versions_shares_the_memory_of_the_service(tmp_path: Path, measured: Measured) -> None:
    """What both resident sizes count is there once."""
    publish(ModelRepository(tmp_path / "models"))
    with service(tmp_path) as (_, process):
        (trial,) = working_for(process.pid)
        ours, theirs = memory_mb(process.pid), memory_mb(trial)

    assert theirs["Private_Dirty"] < theirs["Rss"] / 3
    measured(
        "F-07",
        f"the process that tries versions has {theirs['Private_Dirty']} MiB of its own, of {theirs['Rss']} MiB that it "
        f"shows; with the service it takes {ours['Pss'] + theirs['Pss']} MiB (PSS)",
    )
