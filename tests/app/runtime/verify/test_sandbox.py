"""Versions are loaded in a process that may be lost, before they are loaded here.

With real processes and real models.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from modelstore import ModelRepository
from tests.fakes import publish
from tests.faults.scenes import gone, working_for
from tests.processes import service
from tests.promises import Measured

PROJECT = Path(__file__).parents[4]
PROLOGUE = """
    import hashlib, os, signal, sys, torch
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


def run(program: str, folder: Path) -> list[str]:
    """Run a program in a process of its own, for it is to be forked without threads; return what it printed."""
    source = textwrap.dedent(PROLOGUE) + textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, "-c", source],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.slow
def test_good_version_is_loaded_and_a_bad_one_is_refused_for_the_reason_it_would_have_here(tmp_path: Path) -> None:
    said = run(
        """
        process = trial.TrialProcess.fork(runtime.try_out)
        for module in (MeanModel(2, 0.0), MeanModel(2, 0.01), broken.Raises(2, 0.0), b"text", MeanModel(2, 0.0)):
            print(ask(process, module))
        for shift in (0.0, 0.01):
            print(ask(process, mean_onnx(shift), "model.onnx"))
        process.close()
        """,
        tmp_path,
    )
    assert said == ["well", "golden_mismatch", "run_failed", "load_failed", "well", "well", "golden_mismatch"]


@pytest.mark.slow
def test_version_that_kills_its_process_is_refused_and_the_next_is_tried_all_the_same(tmp_path: Path) -> None:
    said = run(
        """
        def attempt(manifest, version, model, file):
            if b"kill" in model:
                os.kill(os.getpid(), signal.SIGSEGV)
            if b"leave" in model:
                os._exit(3)
            if b"wait" in model:
                signal.pause()
            if len(model) > 4:
                runtime.try_out(manifest, version, model, file)

        trial.DEADLINE_S = 5.0  # for the endless ones; the others end long before
        process = trial.TrialProcess.fork(attempt)
        for model in (b"kill", b"leave", b"wait", code_bomb(), b"good"):
            print(ask(process, model))
        os.kill(process.pid, signal.SIGKILL)
        os.waitpid(process.pid, 0)
        print(ask(process, b"good"))
        """,
        tmp_path,
    )
    assert said.pop(3) in ("trial_crashed", "trial_timed_out")  # the bomb has so many seconds of a processor, too
    assert said == ["trial_crashed", "trial_crashed", "trial_timed_out", "well", "trial_unavailable"]


@pytest.mark.slow
def test_version_for_which_no_process_can_be_started_is_refused_and_the_next_is_tried_all_the_same(
    tmp_path: Path,
) -> None:
    said = run(
        """
        import resource

        process = trial.TrialProcess.fork(runtime.try_out)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        for limit in (3, soft):
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (limit, hard))
            print(ask(process, MeanModel(2, 0.0)))
        process.close()
        """,
        tmp_path,
    )
    assert said == ["trial_unavailable", "well"]


@pytest.mark.slow
def test_attempt_can_neither_write_nor_take_all_memory_nor_reach_the_network(tmp_path: Path) -> None:
    said = run(
        """
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
        """,
        tmp_path,
    )
    assert said[:3] == ["OSError", "MemoryError", "OSError"]
    assert said[3:] in ([], ["OSError"], ["ConnectionRefusedError"])
    assert not (tmp_path / "canary").exists() or not (tmp_path / "canary").read_text()


@pytest.mark.slow
def test_process_is_gone_with_the_service_even_if_that_is_killed(tmp_path: Path) -> None:
    (pid,) = run(
        """
        process = trial.TrialProcess.fork(runtime.try_out)
        ask(process, MeanModel(2, 0.0))
        print(process.pid, flush=True)
        if os.fork() == 0:
            os._exit(0)
        """,
        tmp_path,
    )
    gone(int(pid))


@pytest.mark.slow
def test_signal_to_the_whole_group_does_not_end_it_before_the_service(tmp_path: Path) -> None:
    said = run(
        """
        process = trial.TrialProcess.fork(runtime.try_out)
        ask(process, MeanModel(2, 0.0))
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(process.pid, number)
            print(ask(process, MeanModel(2, 0.0)))
        """,
        tmp_path,
    )
    assert said == ["well", "well"]


def memory_mb(pid: int) -> dict[str, int]:
    """Return the memory of a process by kind (RSS, PSS, private), in MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {kind: int(amount.split()[0]) >> 10 for kind, amount in (line.split(":") for line in lines)}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="memory is read from /proc, which is not here")
def test_the_process_that_tries_versions_shares_the_memory_of_the_service(tmp_path: Path, measured: Measured) -> None:
    """Issue 12, memory: what both resident sizes count is there once."""
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
