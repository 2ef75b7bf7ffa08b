"""Events are recorded for TensorBoard if that is asked for, and a failure ends that alone."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from modelstore import Notice
from tests.training.cli.consoles import new_console, text
from tests.training.samples import recipe
from training.cli.progress import reporter
from training.cli.recording import recorder_for
from training.errors import MissingExtra

EVENT = Notice(message="an event")


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "training.cli.tensorboard", None)  # as if the library were not there

    with reporter(new_console(), json_lines=True) as view:
        recorder_for(None, recipe(), view)(EVENT)
        with pytest.raises(MissingExtra, match="tensorboard"):
            recorder_for(tmp_path, recipe(), view)


def test_the_first_failure_is_a_warning_and_ends_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = []

    def record(event: object) -> None:
        recorded.append(event)
        raise OSError("disk full")

    library = SimpleNamespace(recorder=lambda folder, recipe: record)
    monkeypatch.setitem(sys.modules, "training.cli.tensorboard", library)
    console = new_console()

    with reporter(console, json_lines=True) as view:
        write = recorder_for(tmp_path, recipe(), view)
        write(EVENT)
        write(EVENT)

    assert recorded == [EVENT]
    assert text(console).count("TensorBoard's files could not be written and end here") == 1
