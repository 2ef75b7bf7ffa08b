"""The image's entry point confined as in compose: user, capabilities, read-only root."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from modelstore import ModelRepository
from modelstore.signing import SigningKey
from tests.app.waiting import until
from tests.deployed import environment_of, make_secrets
from tests.deployment.test_image import image_environment
from tests.fakes import publish
from tests.faults.scenes import children_of
from tests.processes import PROJECT, service

pytestmark = pytest.mark.slow

USER = 10001
AS_IMAGE_USER = (
    *("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"),
    *("--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"),
)
ROWS = {"instances": [[0.25, 0.25]]}
OURS = {
    "PATH",
    *(f"TABSERVE_{name}" for name in ("PORT", "HOST", "MODELS_DIR", "DATA_DIR", "STATE_DIR", "DATASETS_DIR")),
}
WRITING = "openat,open,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,symlink,symlinkat,link,linkat"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="changing to the image's user needs root")
outside_tmp = pytest.mark.skipif(
    PROJECT.is_relative_to("/tmp"),  # noqa: S108 - nothing is written there
    reason="the project lies in /tmp, over which this test mounts an empty one",
)
needs_setpriv = pytest.mark.skipif(
    shutil.which("setpriv") is None or shutil.which("unshare") is None,
    reason="setpriv and unshare (util-linux) are not installed; scripts/packages does it",
)
needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace is not installed; scripts/packages does it"
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder with a store that the image's user may read, and a state folder that it may write.

    It is not one of pytest's, which are closed to other users again whenever another run begins.
    """
    if subprocess.call([*AS_IMAGE_USER, sys.executable, "-c", "import app.settings"], cwd="/"):
        pytest.skip("the image's user may not read this checkout or its Python")
    with tempfile.TemporaryDirectory(prefix="tabserve-image-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        publish(ModelRepository(folder / "models"))
        for own in ("state", "datasets", "tmp"):
            (folder / own).mkdir()
            os.chown(folder / own, USER, USER)
        yield folder


def environment_of_the_image() -> dict[str, str]:
    return {name: value for name, value in image_environment().items() if name not in OURS}


def predicts_but_may_not_activate(client: httpx.Client, version: int = 1) -> None:
    answer = client.post("/predict/means", json=ROWS)
    refused = client.post(f"/models/means/versions/{version}/activate")

    assert answer.json()["predictions"][0]["label"] == "low"
    assert refused.status_code == 503
    assert "cannot be written" in refused.json()["detail"]


@needs_root
@needs_setpriv
def test_entry_point_serves_as_the_images_user_from_a_read_only_store(folder: Path) -> None:
    with service(folder, environment=environment_of_the_image(), prefix=AS_IMAGE_USER, cwd=Path("/")) as (
        client,
        process,
    ):
        status = Path(f"/proc/{process.pid}/status").read_text()
        predicts_but_may_not_activate(client)

    assert re.search(rf"^Uid:\s+{USER}\s", status, re.MULTILINE)
    assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)


@needs_root
@needs_setpriv
def test_a_secret_of_the_container_is_a_setting() -> None:
    """The path of compose's secrets is fixed, so this process has its own /run."""
    script = (
        "mount -t tmpfs tmpfs /run && mkdir /run/secrets && "
        'printf postgresql+psycopg://u:p@h/d > /run/secrets/tabserve_database_url && exec "$@"'
    )
    asked = "from app.settings import Settings; s = Settings(); print(s.database_url); print('p@h' in repr(s))"
    command = ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable, "-W", "error", "-c", asked]
    printed = subprocess.run(command, capture_output=True, check=True, text=True, cwd=PROJECT).stdout

    assert printed.split() == ["postgresql+psycopg://u:p@h/d", "False"]


@needs_root
@needs_setpriv
def test_a_secret_of_the_container_stands_in_no_variable_of_a_worker(tmp_path: Path) -> None:
    publish(ModelRepository(tmp_path / "models"))
    url = "postgresql+psycopg://tabserve:pass-word@127.0.0.1:1/jobs"  # nothing listens there
    script = (
        "mount -t tmpfs tmpfs /run && mkdir /run/secrets && "
        f'printf {url} > /run/secrets/tabserve_database_url && exec "$@"'
    )
    prefix = ("unshare", "--mount", "sh", "-c", script, "sh")
    environment = {"TABSERVE_WORKERS": "2", "TABSERVE_KEEP_JOBS": "123"}
    with service(tmp_path, "--keep-versions", "45", environment=environment, prefix=prefix) as (client, process):
        workers = until(lambda: found if len(found := children_of(process.pid)) == 2 else None, "two workers")
        variables = [Path(f"/proc/{pid}/environ").read_bytes() for pid in (process.pid, *workers)]
        answer = client.post("/train", json={"model": "iris"})

    assert not any(b"pass-word" in those for those in variables)
    assert all(b"TABSERVE_KEEP_JOBS=123" in those for those in variables)
    assert all(b"TABSERVE_KEEP_VERSIONS=45" in those for those in variables[1:])
    assert answer.status_code == 503  # so the workers still look for the job table there


@needs_root
@needs_setpriv
@outside_tmp
def test_entry_point_serves_on_a_root_that_nobody_can_write(folder: Path) -> None:
    """`read_only: true`, with the stack's secrets: nothing can be written but /tmp, which is new, and the volumes."""
    script = (
        f"mount --make-rprivate / && mount --bind {folder} /mnt && mount -o remount,ro,bind / && "
        "mount -t tmpfs -o size=64m,mode=1777,noexec,nosuid,nodev tmpfs /tmp && "
        f"mkdir -p {folder} && mount --bind /mnt {folder} && "
        f'exec {" ".join(AS_IMAGE_USER)} "$@"'
    )
    prefix = ("unshare", "--mount", "sh", "-c", script, "sh")
    key = secrets_of_the_stack(folder)
    environment = environment_of_the_image() | environment_of("api", folder)
    with service(folder, environment=environment, prefix=prefix, cwd=Path("/")) as (client, process):
        mounts = Path(f"/proc/{process.pid}/mounts").read_text()
        assert client.post("/models/means/versions/2/activate").status_code == 401
        client.headers["authorization"] = f"Bearer {key}"
        predicts_but_may_not_activate(client, version=2)
        assert client.get("/models/means").json()["serving_version"] == 2  # the one that is signed

    assert re.search(r"^\S+ / \S+ ro[, ]", mounts, re.MULTILINE)
    assert re.search(r"^tmpfs /tmp tmpfs \S*noexec", mounts, re.MULTILINE)
    assert '"model.activate"' in (folder / "audit" / "audit.jsonl").read_text()


def only_writable(*folders: Path) -> tuple[str, ...]:
    """Return what runs a command where nothing but some folders can be written, not even /tmp."""
    kept = " && ".join(f"mount --bind {folder} {folder}" for folder in folders) or "true"
    read_only = "awk '$4 ~ /^rw/ {print $2}' /proc/self/mounts | grep -v -e '^/proc' -e '^/sys' -e '^/dev/pts'"
    script = (
        f"mount --make-rprivate / && {kept} && mounts=$({read_only}) && for mount in $mounts; do "
        f'case " {" ".join(map(str, folders))} " in *" $mount "*) ;; *) mount -o remount,ro,bind "$mount" || exit 9 ;; '
        'esac; done && exec "$@"'
    )
    return ("unshare", "--mount", "sh", "-c", script, "sh")


NO_TEMPORARY = {"TMPDIR": "/proc/nowhere", "HOME": "/proc/nowhere"}  # a folder in which no process can create a file


@needs_root
@needs_setpriv
def test_f17_two_workers_without_any_folder_to_write_end_in_one_line(tmp_path: Path) -> None:
    publish(ModelRepository(tmp_path / "models"))
    environment = {**os.environ, **NO_TEMPORARY, "TABSERVE_STATE_DIR": "/proc/state", "TABSERVE_WORKERS": "2"}
    command = [*only_writable(), sys.executable, "-m", "app", "--port", "0", "--models-dir", str(tmp_path / "models")]
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=300, check=False)

    assert (done.returncode, done.stderr.count("\n")) == (3, 1), done.stderr
    assert done.stderr.startswith("tabserve: TABSERVE_STATE_DIR=/proc/state: ")


@needs_root
@needs_setpriv
def test_f17_one_worker_that_only_answers_needs_no_folder_to_write(tmp_path: Path) -> None:
    publish(ModelRepository(tmp_path / "models"))
    with service(tmp_path, environment=NO_TEMPORARY, prefix=only_writable(), cwd=Path("/")) as (client, _):
        assert client.post("/predict/means", json=ROWS).status_code == 200


@needs_root
@needs_setpriv
def test_f17_the_state_folder_is_all_that_workers_and_trainings_need_besides_the_store(tmp_path: Path) -> None:
    publish(ModelRepository(tmp_path / "models"))
    folders = [tmp_path / name for name in ("models", "state", "datasets")]
    for folder in folders:
        folder.mkdir(exist_ok=True)
    environment = {**NO_TEMPORARY, "TABSERVE_WORKERS": "2"}
    with service(tmp_path, environment=environment, prefix=only_writable(*folders), cwd=Path("/")) as (client, _):
        job = client.post("/train", json={"model": "iris", "overrides": {"epochs": 2}}).json()
        ended = until(
            lambda: found if (found := client.get(f"/train/{job['id']}").json())["finished"] else None, "", 300
        )
        figures = (tmp_path / "state" / "scratch" / "tmp").glob
        until(lambda: len(list(figures("tabserve-metrics-*/*.json"))) == 2, "both workers write their figures")

    assert ended["reason"] == "succeeded", ended
    assert not [line for line in ended["log"] if "atplotlib" in line]
    assert list((tmp_path / "state" / "scratch" / "matplotlib").iterdir())
    assert list((tmp_path / "state" / "scratch" / "tmp").iterdir()) == []


@needs_root
@needs_setpriv
def test_f17_without_a_state_folder_the_systems_temporary_one_will_do(tmp_path: Path) -> None:
    publish(ModelRepository(tmp_path / "models"))
    (tmp_path / "tmp").mkdir()
    environment = {"TMPDIR": str(tmp_path / "tmp"), "TABSERVE_WORKERS": "2"}
    with service(tmp_path, environment=environment, prefix=only_writable(tmp_path / "tmp"), cwd=Path("/")) as (
        client,
        _,
    ):
        assert client.post("/predict/means", json=ROWS).status_code == 200
        assert list((tmp_path / "tmp").glob("tabserve-metrics-*"))


def secrets_of_the_stack(folder: Path) -> str:
    """Make secrets for the image's user, sign a second version with them, and return the operator's key."""
    (folder / "audit").mkdir()
    make_secrets(folder / "secrets")
    publish(ModelRepository(folder / "models", SigningKey.read(folder / "secrets" / "service" / "signing_key")))
    for path in (folder / "audit", folder / "secrets", *(folder / "secrets").rglob("*")):
        os.chown(path, USER, USER)
    return make_secrets(folder / "secrets", "show").strip()


@needs_strace
def test_the_service_connects_to_nobody_and_writes_in_its_folders_only(
    tmp_path: Path, measured: Callable[[str, str], None]
) -> None:
    """S-10 and D-11: every call of a start, of the usual requests and of a stop is looked at."""
    publish(ModelRepository(tmp_path / "models"))
    (tmp_path / "tmp").mkdir()
    trace = tmp_path / "trace"
    prefix = (
        "strace",
        "-D",  # otherwise it would intercept the signal that stops the service
        "-f",
        "--seccomp-bpf",
        "-q",
        "-s",
        "200",
        "-e",
        f"trace=connect,sendto,{WRITING}",
        "-o",
        str(trace),
    )
    environment = environment_of_the_image() | {"TMPDIR": str(tmp_path / "tmp"), "MPLCONFIGDIR": str(tmp_path / "tmp")}
    with service(tmp_path, environment=environment, prefix=prefix) as (client, process):
        assert client.post("/predict/means", json=ROWS).status_code == 200
        assert client.post(
            "/predict/means", content=b"left,right\n1,1\n", headers={"content-type": "text/csv"}
        ).is_success
        assert client.post("/models/means/versions/1/activate").is_success
        for path in ("/metrics", "/models", "/openapi.json", "/docs", "/health", "/train"):
            assert client.get(path).status_code == 200
    end = re.compile(rf"^{process.pid} +\+\+\+ exited with 0 \+\+\+$", re.MULTILINE)
    until(lambda: end.search(trace.read_text()), "the end of the trace")
    calls = [line for line in trace.read_text().splitlines() if "+++" not in line]
    paths = set(filter(None, map(written, calls)))

    assert [call for call in calls if re.search(r"(connect|sendto)\(.*AF_INET", call)] == []
    assert {f"{tmp_path}/state/jobs.sqlite3"} <= paths  # it would be seen
    assert {path for path in paths if not path.startswith((f"{tmp_path}/", "/dev/null", "/dev/shm/"))} == set()  # noqa: S108
    measured("S-10", f"0 connections and 0 DNS queries in {len(calls)} system calls from start to stop")
    measured(
        "D-11", f"{len(calls)} system calls from start to stop: 0 connections, 0 writes outside the service's folders"
    )


def written(call: str) -> str | None:
    """Return the path that a traced call makes, changes or removes; None if it only reads, or fails.

    Paths relative to an open folder are left out: that folder's own path was seen.
    """
    name = re.search(r"\b(\w+)\(", call)
    paths: list[str] = re.findall(r'"([^"]*)"', call)
    if not name or not paths or " = -1 " in call or (not paths[-1].startswith("/") and "AT_FDCWD" not in call):
        return None
    if name[1] in {"connect", "sendto"}:
        return None
    if name[1] in {"openat", "open"} and not re.search(r"O_WRONLY|O_RDWR|O_CREAT", call):
        return None
    return paths[-1]
