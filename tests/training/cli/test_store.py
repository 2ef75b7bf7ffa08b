"""The commands about what is published, with a key and without."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from modelstore import BrokenVersion, ModelRepository, SigningKey
from training.cli.commands import app


def invoke(*arguments: str | int | Path) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def models(two_versions: Path) -> Path:
    return two_versions / "models"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """Return a key file that the command made."""
    file = tmp_path / "signing.key"
    made = invoke("signing-key", "--file", file)
    assert (made.exit_code, "has a new key and 0 older" in made.stdout) == (0, True)
    return file


def is_signed(models: Path, key_file: Path, version: int) -> bool:
    try:
        ModelRepository(models, SigningKey.read(key_file)).find("clouds", version).verify()
    except BrokenVersion as error:
        assert error.reason in {"signature_missing", "signature_wrong"}  # noqa: PT017 - either way is right
        return False
    return True


def test_versions_of_before_are_signed_one_by_one_or_all(models: Path, key_file: Path) -> None:
    assert not is_signed(models, key_file, 1)

    assert invoke("sign", "clouds", 1, "--models-dir", models, "--signing-key-file", key_file).exit_code == 0
    assert (is_signed(models, key_file, 1), is_signed(models, key_file, 2)) == (True, False)

    done = invoke("sign", "clouds", "--models-dir", models, "--signing-key-file", key_file)
    assert done.stdout.splitlines() == ["clouds version 1 is signed", "clouds version 2 is signed"]
    assert is_signed(models, key_file, 2)


def test_model_is_removed_after_a_yes(models: Path) -> None:
    kept = CliRunner().invoke(app, ["remove", "clouds", "--models-dir", str(models)], input="n\n")
    assert (kept.exit_code, "Remove clouds with all its versions (2), for good?" in kept.stdout) == (1, True)
    assert ModelRepository(models).versions("clouds") == (1, 2)

    removed = CliRunner().invoke(app, ["remove", "clouds", "--models-dir", str(models)], input="y\n")
    assert (removed.exit_code, "clouds is removed, with its versions 1, 2" in removed.stdout) == (0, True)
    assert ModelRepository(models).names() == ()


def test_model_that_does_not_exist_is_not_removed(models: Path) -> None:
    done = invoke("remove", "crowds", "--yes", "--models-dir", models)
    assert (done.exit_code, "no model 'crowds'" in done.stderr) == (2, True)


def test_damaged_version_is_not_signed(models: Path, key_file: Path) -> None:
    (models / "clouds" / "1" / "model.pt").write_bytes(b"another")

    done = invoke("sign", "clouds", 1, "--models-dir", models, "--signing-key-file", key_file)

    assert (done.exit_code, "integrity_" in done.stderr) == (1, True)
    assert not (models / "clouds" / "1" / "manifest.sig").exists()


def test_signing_without_a_key_is_a_mistake(models: Path) -> None:
    done = invoke("sign", "clouds", 1, "--models-dir", models)

    assert (done.exit_code, "--signing-key-file" in done.stderr) == (1, True)


def test_key_is_changed_without_a_moment_in_which_versions_are_not_trusted(models: Path, key_file: Path) -> None:
    folders = ("--models-dir", models, "--signing-key-file", key_file)
    invoke("sign", "clouds", *folders)
    invoke("signing-key", "--file", key_file)
    assert is_signed(models, key_file, 1)  # by the older key

    invoke("sign", "clouds", *folders)
    key_file.write_text(key_file.read_text().splitlines()[0])  # the older key goes
    assert is_signed(models, key_file, 1)


def test_unsigned_version_is_not_activated_compared_or_evaluated_but_listed_with_the_reason(
    models: Path, key_file: Path
) -> None:
    folders = ("--models-dir", models, "--signing-key-file", key_file)

    for arguments in (("activate", "clouds", 1), ("compare", "clouds", 1, 2), ("evaluate", "clouds", 1)):
        done = invoke(*arguments, *folders)
        assert (done.exit_code, "signature_missing" in done.stderr) == (1, True), arguments
    assert ModelRepository(models).active("clouds") == 2
    assert "signature_missing" in invoke("list", *folders).stdout


def test_damaged_version_is_not_activated(models: Path) -> None:
    (models / "clouds" / "1" / "model.pt").write_bytes(b"another")

    done = invoke("activate", "clouds", 1, "--models-dir", models)

    assert (done.exit_code, "integrity_size" in done.stderr) == (1, True)
    assert ModelRepository(models).active("clouds") == 2


def test_key_file_of_no_use_is_one_line_and_code_2_before_anything_is_trained(tmp_path: Path) -> None:
    open_key = tmp_path / "open.key"
    open_key.write_text("k" * 64)
    open_key.chmod(0o644)

    for arguments in (("list",), ("fit", "iris"), ("ensure",)):
        done = invoke(*arguments, "--models-dir", tmp_path / "models", "--signing-key-file", open_key)
        assert (done.exit_code, "others may read or write it" in done.stderr + done.stdout) == (2, True), arguments
        assert "kkkk" not in done.stderr
    assert not (tmp_path / "models").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_training_signs_what_it_publishes(tmp_path: Path, key_file: Path) -> None:
    models = tmp_path / "signed"

    done = invoke("fit", "blobs", "--set", "epochs=2", "--models-dir", models, "--signing-key-file", key_file)

    assert done.exit_code == 0, done.stderr
    ModelRepository(models, SigningKey.read(key_file)).find("blobs", 1).verify()
