"""The image's contents and start, D-01 and D-02; a test cannot build it without Docker."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

from app.settings import Settings
from tests.processes import PROJECT

DOCKERFILE = (PROJECT / "Dockerfile").read_text().replace("\\\n", " ")
LAST_STAGE = DOCKERFILE.rpartition("\nFROM ")[2]
LOCKS = {lock.stem: lock.read_text() for lock in (PROJECT / "deploy" / "locks").glob("*.txt")}


def image_environment() -> dict[str, str]:
    """Return the variables that the Dockerfile's last stage sets."""
    block = re.search(r"^ENV (.*)$", LAST_STAGE, re.MULTILINE)
    assert block is not None
    return dict(pair.split("=", 1) for pair in block[1].split())


def pinned(lock: str) -> dict[str, str]:
    """Return the versions that a lock or constraints file names, by normalised name."""
    pairs = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pairs}


def test_every_package_of_the_image_is_pinned_and_hashed() -> None:
    assert LOCKS.keys() == {"image", "torch", "build"}
    for name, lock in LOCKS.items():
        entries = re.findall(r"^[a-z].*(?:\n +.*)*", lock, re.MULTILINE)
        assert entries, name
        assert [entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == [], name


def test_image_is_locked_to_the_versions_that_the_tests_ran_with() -> None:
    wanted = pinned((PROJECT / "constraints.txt").read_text())
    locked = pinned(LOCKS["image"]) | pinned(LOCKS["torch"])
    differ = {name: (version, wanted[name]) for name, version in locked.items() if wanted.get(name, version) != version}

    assert differ == {}, "run scripts/lock"
    assert {"fastapi", "torch", "psycopg-binary", "pyarrow"} <= locked.keys()


def test_every_dependency_of_the_project_is_in_the_image() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *extras["serve"], *extras["train"], *extras["arrow"], *extras["postgres"]]
    names = [re.split(r"[\[<>=~]", each)[0] for each in needed]

    assert len(names) > 10
    assert set(names) <= (pinned(LOCKS["image"]) | pinned(LOCKS["torch"])).keys(), "run scripts/lock"


def test_image_installs_by_hash_and_nothing_is_built_or_kept_in_it() -> None:
    installs = re.findall(r"\binstall [^;&\n]*-r locks/(\w+)\.txt", DOCKERFILE)
    assert sorted(installs) == sorted(LOCKS)
    for line in re.findall(r"\binstall [^;&\n]*-r locks/[^;&\n]*", DOCKERFILE):
        assert {"--require-hashes", "--no-deps", "--no-cache-dir"} <= set(line.split())
    assert DOCKERFILE.count("\nFROM ") == 2
    assert not re.search(r"\b(pip|apt-get|apk|gcc|curl)\b", LAST_STAGE.partition("\n")[2])


def test_the_build_of_pytorch_is_the_small_one_unless_another_is_chosen() -> None:
    compose = (PROJECT / "docker-compose.yml").read_text()
    chosen = re.search(
        r'uv pip install [^;]*--constraint constraints.txt --torch-backend "\$TORCH_BACKEND" torch', DOCKERFILE
    )

    assert "\nARG TORCH_BACKEND=cpu\n" in DOCKERFILE
    assert "      TORCH_BACKEND: ${TABSERVE_TORCH_BACKEND-cpu}\n" in compose
    assert chosen is not None
    assert chosen.start() > DOCKERFILE.index("-r locks/image.txt"), "what hashes verified is there first, and stays"
    assert "uv" in pinned(LOCKS["build"])


def test_every_image_is_pinned_and_may_be_pinned_by_digest() -> None:
    compose = (PROJECT / "docker-compose.yml").read_text()
    references = re.findall(r"\$\{(TABSERVE_\w+_IMAGE):-([^}]+)\}", compose)
    foreign = [image for image in re.findall(r"^ +image: (\S+)$", compose, re.MULTILINE) if image != "tabserve"]

    assert all(image.startswith("${TABSERVE_") for image in foreign)
    assert all(re.fullmatch(r"[a-z/]+:v?\d+\.\d+(\.\d+)?[a-z0-9.-]*", image) for _, image in references)
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"${BASE}"}


def test_pinning_prints_every_image_with_its_digest(tmp_path: Path) -> None:
    docker = tmp_path / "docker"  # answers as `docker buildx imagetools inspect` does; there is no registry in a test
    docker.write_text("#!/bin/sh\nprintf 'sha256:%064d\\n' 7\n")
    docker.chmod(0o755)
    printed = subprocess.run(
        [PROJECT / "scripts" / "pin-images"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        check=True,
        text=True,
    ).stdout.splitlines()

    assert len(printed) == 5
    assert all(re.fullmatch(r"TABSERVE_[A-Z]+_IMAGE=\S+:\S+@sha256:0+7", line) for line in printed)


def test_image_runs_as_a_numeric_user_that_is_not_root() -> None:
    user = re.findall(r"^USER (\S+)$", LAST_STAGE, re.MULTILINE)[-1]

    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


def test_what_is_installed_in_the_image_belongs_to_root() -> None:
    assert "--chown" not in LAST_STAGE
    assert not re.search(r"\bchmod|\bchown", LAST_STAGE)
    assert LAST_STAGE.index("USER ") > max(LAST_STAGE.rindex("\nCOPY "), LAST_STAGE.rindex("\nRUN "))


def test_image_starts_and_checks_the_service_without_a_shell() -> None:
    assert 'ENTRYPOINT ["python", "-m", "app"]' in LAST_STAGE
    assert 'CMD ["python", "-m", "app.server.healthcheck"]' in LAST_STAGE
    assert "STOPSIGNAL SIGTERM" in LAST_STAGE
    assert image_environment()["PYTHONDONTWRITEBYTECODE"] == "1"


def test_every_variable_of_the_image_is_a_setting() -> None:
    known = {f"TABSERVE_{name.upper()}" for name in Settings.model_fields}

    assert {name for name in image_environment() if name.startswith("TABSERVE_")} <= known
