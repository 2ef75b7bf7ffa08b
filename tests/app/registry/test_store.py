"""With a key, only what it signed serves, and trainings sign what they publish."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.errors import ConfigurationError
from app.main import create_app
from app.registry.store import read_signing_key
from app.settings import Settings
from modelstore import ModelRepository, SigningKey
from tests.app.waiting import until
from tests.fakes import publish
from tests.processes import PROJECT


def test_signed_version_serves_and_unsigned_foreign_and_changed_ones_are_refused_with_the_reason(
    signing: Settings, repository: ModelRepository, key_file: Path
) -> None:
    ours = ModelRepository(repository.root, SigningKey.read(key_file))
    publish(ours)
    publish(repository, activate=False)
    publish(ModelRepository(repository.root, SigningKey(b"?" * 32)), activate=False)
    publish(ours, activate=False)
    manifest = ours.find("means", 4).path / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"mean of", b"mode of"))

    with TestClient(create_app(signing)) as client:
        details = {}
        for version in (2, 3, 4):
            answer = client.post(f"/models/means/versions/{version}/activate")
            assert answer.status_code == 409
            details[version] = answer.json()["detail"]
        assert client.post("/predict/means", json={"instances": [[0, 0]]}).json()["version"] == 1

        assert "(signature_missing)" in details[2]
        assert "(signature_wrong)" in details[3]
        assert "(signature_wrong)" in details[4]

        ours.sign("means", 2)
        ours.activate("means", 2)
        until(lambda: client.get("/models/means").json()["serving_version"] == 2, "the signed version serves")


def test_key_file_of_no_use_is_a_bad_setting(signing: Settings, settings: Settings, key_file: Path) -> None:
    assert read_signing_key(settings) is None
    key_file.chmod(0o644)
    with pytest.raises(ConfigurationError, match=r"^TABSERVE_SIGNING_KEY_FILE: .*chmod 600"):
        read_signing_key(signing)


@pytest.mark.slow
def test_key_file_of_no_use_ends_the_start_with_3_and_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app", "--signing-key-file", str(tmp_path / "none"), "--models-dir", str(tmp_path)],
        cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip

    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    assert "TABSERVE_SIGNING_KEY_FILE" in done.stderr
