"""The settings: their sources, and that a wrong one stops the start with one clear line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pydantic
import pytest
from pydantic_settings import CliApp

from app.__main__ import BAD_SETTINGS, main
from app.settings import Settings


def from_flags(*flags: str) -> Settings:
    return CliApp.run(Settings, cli_args=list(flags))


def test_without_flags_and_variables_the_service_stays_on_this_machine() -> None:
    settings = from_flags()

    assert (settings.host, settings.port, settings.device, settings.demo) == ("127.0.0.1", 8000, "auto", False)
    assert (settings.models_dir, settings.data_dir) == (Path("models"), Path("data"))
    assert (settings.recipes_dir / "iris.toml").is_file()


def test_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABSERVE_PORT", "9000")
    monkeypatch.setenv("TABSERVE_MODELS_DIR", "/mnt/models")
    monkeypatch.setenv("TABSERVE_DEMO", "true")

    settings = from_flags()

    assert (settings.port, settings.models_dir, settings.demo) == (9000, Path("/mnt/models"), True)


def test_flags_win_over_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABSERVE_PORT", "9000")
    monkeypatch.setenv("TABSERVE_HOST", "0.0.0.0")  # noqa: S104 - nothing listens
    monkeypatch.setenv("TABSERVE_DEMO", "true")

    settings = from_flags("--port", "9001", "--models-dir", "elsewhere", "--no-demo")

    assert (settings.port, settings.models_dir, settings.demo) == (9001, Path("elsewhere"), False)
    assert settings.host == "0.0.0.0"  # noqa: S104


def test_settings_cannot_be_changed_later() -> None:
    with pytest.raises(pydantic.ValidationError):
        Settings().port = 1  # type: ignore[misc]


def test_every_setting_says_what_it_means() -> None:
    assert [name for name, field in Settings.model_fields.items() if not (field.description or "").endswith(".")] == []


@pytest.mark.parametrize("device", ["auto", "cpu", "mps", "cuda", "cuda:0", "cuda:12"])
def test_devices_have_their_usual_names(device: str) -> None:
    assert from_flags("--device", device).device == device


WRONG = {
    "PORT": ("http", "-1", "65536", "", "80.5"),
    "DEVICE": ("gpu", "CPU", "cuda:", "cuda:-1", "cuda:100", "cpu\n"),
    "POLL_INTERVAL_S": ("0", "-1", "61", "nan", "soon"),
    "MAX_BODY_BYTES": ("1023", "8 MB", str(1 << 33)),
    "MAX_LOADED_VERSIONS": ("0", "1001"),
    "MAX_QUEUE_ROWS": ("0", "x"),
    "MAX_BATCH_WAIT_S": ("-0.1", "2", "nan"),
    "LOG_LEVEL": ("loud", "INFO ", ""),
    "LOG_FORMAT": ("xml", "JSON", ""),
    "ACCESS_LOG": ("perhaps", ""),
    "DEMO": ("perhaps", ""),
}
EACH_WRONG = [(name, value) for name, values in WRONG.items() for value in values]


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    """Run the program and return the one line that it says."""
    assert main() == BAD_SETTINGS
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize(("name", "value"), EACH_WRONG, ids=[f"{name}={value!r}" for name, value in EACH_WRONG])
def test_wrong_variable_stops_the_start_with_its_name_its_value_and_what_is_wanted(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["app"])
    monkeypatch.setenv(f"TABSERVE_{name}", value)

    line = refusal(capsys)

    assert line.startswith(f"tabserve: TABSERVE_{name}={value!r}: ")
    assert "should" in line


def test_wrong_flag_is_refused_as_the_variable_would_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["app", "--max-body-bytes", "5"])

    assert refusal(capsys).startswith("tabserve: TABSERVE_MAX_BODY_BYTES='5': input should be greater than")


@pytest.mark.parametrize("name", ["TABSERVE_PORT", "TABSERVE_GRPC_PORT"])
def test_port_of_a_kubernetes_service_link_is_told_from_a_mistake(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """A Service named `tabserve` sets TABSERVE_PORT in all containers of its namespace."""
    monkeypatch.setattr(sys, "argv", ["app"])
    monkeypatch.setenv(name, "tcp://10.96.0.7:8000")

    line = refusal(capsys)

    assert line.startswith(f"tabserve: {name}='tcp://10.96.0.7:8000': ")
    assert all(word in line for word in ("Kubernetes", "enableServiceLinks: false", "Service otherwise"))


def test_no_other_setting_can_be_set_by_a_kubernetes_service_link() -> None:
    """A Service named `tabserve-a` sets TABSERVE_A_PORT, TABSERVE_A_SERVICE_PORT_HTTP, TABSERVE_A_PORT_80_TCP_ADDR."""
    links = re.compile(r"(.*_)?(service_host|service_port(_.*)?|port(_\d+_[a-z]+(_(proto|port|addr))?)?)")

    assert [name for name in Settings.model_fields if links.fullmatch(name)] == ["port", "grpc_port"]


def test_address_of_ipv6_may_stand_in_brackets() -> None:
    assert [from_flags("--host", host).host for host in ("[::1]", "::1", "[::]")] == ["::1", "::1", "::"]


@pytest.mark.slow
def test_device_that_is_not_there_stops_the_start_and_lists_those_that_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["app", "--device", "cuda:99", "--state-dir", str(tmp_path)])
    for name in ("TMPDIR", "MPLCONFIGDIR"):  # which the service sets for its children, and tests must not keep
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", tempfile.gettempdir())

    with pytest.raises(SystemExit) as stopped:
        main()

    line = capsys.readouterr().err
    assert stopped.value.code == BAD_SETTINGS
    assert line.startswith("tabserve: TABSERVE_DEVICE=cuda:99 is not available here; choose auto or ")


@pytest.mark.slow
def test_process_with_a_wrong_setting_ends_with_code_3_and_one_line() -> None:
    wrong = {"TABSERVE_PORT": "70000", "TABSERVE_DEVICE": "cuda:99"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "app"],
            env={**os.environ, name: value},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, value in wrong.items()
    ]

    for process, (name, value) in zip(processes, wrong.items(), strict=True):
        output, errors = process.communicate(timeout=300)
        assert (process.returncode, output) == (3, "")
        assert errors.count("\n") == 1
        assert name in errors
        assert value in errors
