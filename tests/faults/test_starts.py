"""F-14 and F-29: starts that a signal ends, and starts that cannot succeed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from modelstore import ModelRepository
from tests.app.waiting import until
from tests.fakes import publish
from tests.faults.scenes import rounds
from tests.preloaded import ForkedService, forked_trainings
from tests.processes import PROJECT, free_port
from tests.promises import Measured, allowed

pytestmark = pytest.mark.slow

START_S = 5.0  # period of the signals: longer than a start takes here
SLOWEST = {"TABSERVE_DEVICE": "cuda:99"}  # what a start finds out last
ENDED = {0, 128 + signal.SIGTERM, -signal.SIGTERM}  # the last before Python itself has started


def environment(folder: Path, port: int, **more: str) -> dict[str, str]:
    """Return the environment of a service on a folder, without inherited settings."""
    tmp = folder / "tmp"
    tmp.mkdir(exist_ok=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TABSERVE_")}
    folders = {f"TABSERVE_{name.upper()}_DIR": str(folder / name) for name in ("models", "state", "datasets")}
    return {
        **inherited,
        **folders,
        "TABSERVE_PORT": str(port),
        "TABSERVE_DEVICE": "cpu",
        "TABSERVE_DRAIN_S": "0",
        "TMPDIR": str(tmp),
        **more,
    }


@contextlib.contextmanager
def started(settings: Mapping[str, str], *arguments: str, cwd: Path = PROJECT) -> Iterator[subprocess.Popen[bytes]]:
    """Start a service without waiting for it; the block's end always kills it."""
    command = [sys.executable, "-m", "app", *arguments]
    with subprocess.Popen(
        command, cwd=cwd, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def leftovers(folder: Path) -> list[str]:
    """Return the files that a start made and should not have left: all that is not whole, or for while it runs."""
    found = [path for path in folder.rglob("*") if path.suffix in {".new", ".tmp", ".part"}]
    return [str(path) for path in (*found, *(folder / "tmp").iterdir())]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_signals_at_any_moment_of_a_start_end_it_in_order(tmp_path: Path, measured: Measured, workers: str) -> None:
    """F-14: 5 signals to one process, 5 to two workers, at moments of the first 5 s; long: 30 of each in 10 s."""
    publish(ModelRepository(tmp_path / "models"))
    settings = environment(tmp_path, free_port(), TABSERVE_WORKERS=workers)
    moments = random.Random(int(workers))
    times, took = rounds(5, 30), []
    for number in range(times):
        with started(settings) as process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(moments.uniform(0, rounds(int(START_S), 10)))
            began = time.monotonic()
            process.send_signal(number_of := signal.SIGINT if number % 5 == 4 else signal.SIGTERM)
            output, errors = process.communicate(timeout=300)
            took.append(time.monotonic() - began)

        said = (output + errors).decode()
        assert process.returncode in (ENDED if number_of == signal.SIGTERM else {0, 128 + number_of}), said
        assert "Traceback" not in said
        assert "traceback" not in said
        assert leftovers(tmp_path) == []
    assert max(took) < allowed(5)
    measured(
        "F-14",
        f"{times} signals while {workers} worker{'s'[: int(workers) - 1]} started: all gone after {max(took):.1f} s",
    )


def test_signal_while_missing_models_are_trained_ends_the_training_first(tmp_path: Path) -> None:
    """F-14: the models are two of the recipes, with one epoch each."""
    (tmp_path / "recipes").mkdir()
    for name in ("blobs", "iris"):
        recipe = (PROJECT / "training" / "recipes" / f"{name}.toml").read_text()
        (tmp_path / "recipes" / f"{name}.toml").write_text(recipe.replace("epochs = 200", "epochs = 1"))
    folders = {"TABSERVE_RECIPES_DIR": str(tmp_path / "recipes"), "TABSERVE_DATA_DIR": str(PROJECT / "data")}
    settings = environment(tmp_path, free_port(), **folders)
    with started(settings, "--demo", cwd=forked_trainings()) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        training = int(until(lambda: children.read_text().split() or None, "the training")[0])
        until(lambda: list((tmp_path / "models").glob("*/*")) or None, "a model")
        process.terminate()
        output, errors = process.communicate(timeout=300)

    assert process.returncode == 128 + signal.SIGTERM, (output + errors).decode()
    assert not Path(f"/proc/{training}").exists()
    assert b"Traceback" not in output + errors
    assert leftovers(tmp_path) == []


def test_missing_models_whose_training_cannot_be_started_end_the_start_in_one_line(tmp_path: Path) -> None:
    begin = "import sys, app.__main__ as service; sys.executable = '/nowhere/python'; sys.exit(service.main())"
    settings = environment(tmp_path, free_port())
    done = subprocess.run(
        [sys.executable, "-c", begin, "--demo"], cwd=PROJECT, env=settings, capture_output=True, text=True, check=False
    )

    problem = "no process can be started now (No such file or directory)"
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"tabserve: the demonstration models cannot be trained: {problem}\n"


@dataclass(frozen=True)
class Bad:
    """Settings that cannot work, and what the one line must name."""

    settings: dict[str, str]
    named: str


def bad_settings(folder: Path, taken: int) -> Iterator[Bad]:
    """Yield bad configurations: each kind of setting, files that are not what they should be, addresses, devices."""
    wrong = {
        "PORT": "http",
        "WORKERS": "0",
        "HOST": "203.0.113.7",  # reserved address (RFC 5737), without a key file
        "TRAIN_CONCURRENCY": "-1",
        "TRAIN_TIMEOUT_S": "0",
        "TRAIN_MEMORY_BYTES": "1024",
        "TRAIN_LEASE_S": "soon",
        "MAX_QUEUED_JOBS": "none",
        "KEEP_VERSIONS": "0",
        "DEVICE": "gpu",
        "POLL_INTERVAL_S": "nan",
        "MAX_BODY_BYTES": "8 MB",
        "MAX_STREAM_BYTES": "1",
        "MAX_LOADED_VERSIONS": "0",
        "MAX_QUEUE_ROWS": "0",
        "MAX_BATCH_WAIT_S": "2",
        "LOG_LEVEL": "loud",
        "DRAIN_S": "-1",
        "RATE_PER_S": "0",
        "MAX_IN_FLIGHT": "0",
        "MAX_CONNECTIONS": "many",
        "MAX_HEADER_BYTES": "10",
        "RECEIVE_TIMEOUT_S": "0",
        "SEND_TIMEOUT_S": "inf",
        "ANONYMOUS": "everything",
        "ALLOWED_HOSTS": "a b",
        "CORS_ORIGINS": "*",
        "KEEP_ALIVE_S": "0",
        "ROOT_PATH": "/models",
        "TRUSTED_PROXIES": "proxy.example",
        "DEMO": "perhaps",
        "DATABASE_URL": "mysql://user@host/database",
        "KEYS_FILE": str(folder / "nowhere.json"),
        "SIGNING_KEY_FILE": str(folder / "nowhere.key"),
    }
    for name, value in wrong.items():
        yield Bad({f"TABSERVE_{name}": value}, f"TABSERVE_{name}")
    (folder / "keys.json").write_text("{")
    (folder / "keys.json").chmod(0o600)
    (folder / "open.json").write_text("[]")
    (folder / "open.json").chmod(0o666)
    (folder / "short.key").write_text("too short")
    (folder / "loop").symlink_to(folder / "loop")
    for workers in ("1", "2"):
        models = {"TABSERVE_MODELS_DIR": str(folder / "loop"), "TABSERVE_WORKERS": workers}
        yield Bad(models, "TABSERVE_MODELS_DIR")
    for name in ("keys.json", "open.json"):
        yield Bad({"TABSERVE_KEYS_FILE": str(folder / name)}, "TABSERVE_KEYS_FILE")
    yield Bad({"TABSERVE_KEYS_FILE": str(folder)}, "TABSERVE_KEYS_FILE")
    yield Bad({"TABSERVE_SIGNING_KEY_FILE": str(folder / "short.key")}, "TABSERVE_SIGNING_KEY_FILE")
    yield Bad({"TABSERVE_PORT": str(taken)}, "TABSERVE_PORT")
    yield Bad({"TABSERVE_PORT": str(taken), "TABSERVE_WORKERS": "2"}, "TABSERVE_PORT")
    yield Bad({"TABSERVE_PORT": "tcp://10.96.0.7:8000"}, "enableServiceLinks")
    anyone = {"TABSERVE_ANONYMOUS": "predict"}
    yield Bad({"TABSERVE_HOST": "203.0.113.7", **anyone}, "TABSERVE_HOST")
    yield Bad({"TABSERVE_HOST": "no such host", **anyone}, "TABSERVE_HOST")
    yield Bad({"TABSERVE_HOST": "0.0.0.0"}, "TABSERVE_HOST")  # noqa: S104 - nothing listens
    yield Bad({"TABSERVE_DEVICE": "cuda:99"}, "TABSERVE_DEVICE")
    yield Bad({"TABSERVE_DEVICE": "cuda:99", "TABSERVE_WORKERS": "2"}, "TABSERVE_DEVICE")


def ended(folder: Path, bad: Bad) -> tuple[int, str]:
    """Start a service, forked unless it gets as far as the slowest; return exit code and output."""
    settings = environment(folder, free_port()) | bad.settings
    if SLOWEST.items() <= bad.settings.items():
        with started(settings) as process:
            output, errors = process.communicate(timeout=300)
        return process.returncode, (output + errors).decode()
    with tempfile.TemporaryFile() as file:
        code = ForkedService([], PROJECT, settings, file).wait(300)
        file.seek(0)
        return code, file.read().decode()


def test_every_bad_configuration_ends_the_start_with_one_line(tmp_path: Path, measured: Measured) -> None:
    """F-29."""

    def outcome(bad: Bad) -> tuple[str, float]:
        """Return the problem with the end of a start, and its duration in seconds."""
        began = time.monotonic()
        code, said = ended(tmp_path, bad)
        right = code == 3 and said.count("\n") == 1 and bad.named in said and "Traceback" not in said
        return "" if right else f"{bad}: exit code {code}, {said}", time.monotonic() - began

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        every = list(bad_settings(tmp_path, listener.getsockname()[1]))
        with ThreadPoolExecutor(2) as pool:
            outcomes = list(pool.map(outcome, every))

    assert [wrong for wrong, _ in outcomes if wrong] == []
    assert len(outcomes) >= 30
    slowest = max(took for _, took in outcomes)
    assert slowest < allowed(5)
    measured("F-29", f"{len(outcomes)} bad configurations: exit code 3 and one line, after {slowest:.1f} s at most")
