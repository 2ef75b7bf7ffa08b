"""Where caches and temporary files go: the state folder, else the system's, else nowhere."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from app.errors import ConfigurationError
from app.server.scratch import use_scratch
from app.settings import Settings

NOWHERE = Path("/proc/nowhere")  # where not even root can make a folder


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("TMPDIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


@pytest.fixture
def without_temporary(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be no folder for temporary files, as Python finds out."""
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(NOWHERE)])


def test_f17_all_of_it_lies_in_the_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    use_scratch(Settings(state_dir=Path("state")))

    scratch = tmp_path / "state" / "scratch"
    assert tempfile.gettempdir() == str(scratch / "tmp")
    assert os.environ["MPLCONFIGDIR"] == str(scratch / "matplotlib")
    assert [oct((scratch / name).stat().st_mode & 0o777) for name in ("tmp", "matplotlib")] == ["0o700", "0o700"]


def test_f17_without_it_everything_stays_as_the_system_has_it(tmp_path: Path) -> None:
    use_scratch(Settings(state_dir=NOWHERE, workers=2))

    assert (tempfile.gettempdir(), os.environ["MPLCONFIGDIR"]) == (str(tmp_path), str(tmp_path))


@pytest.mark.usefixtures("without_temporary")
@pytest.mark.parametrize(
    "more", [{"workers": 2}, {"demo": True}, {"database_url": "postgresql+psycopg://u@h/d"}], ids=str
)
def test_f17_who_needs_a_folder_and_has_none_does_not_start(more: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=r"^TABSERVE_STATE_DIR=/proc/nowhere: .*TMPDIR"):
        use_scratch(Settings(state_dir=NOWHERE, **more))  # type: ignore[arg-type]


@pytest.mark.usefixtures("without_temporary")
def test_f17_who_needs_none_starts_without() -> None:
    use_scratch(Settings(state_dir=NOWHERE))
    use_scratch(Settings(state_dir=NOWHERE, database_url="postgresql+psycopg://u@h/d", train_concurrency=0))
