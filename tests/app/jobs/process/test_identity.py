"""Names of processes: who is certainly dead, and who may live."""

from __future__ import annotations

import subprocess
import sys

import pytest

from app.jobs.process.identity import is_provably_dead, note_next_life, this_process

TELLS = "from app.jobs.process.identity import this_process; print(this_process(), flush=True); input()"


def test_process_is_dead_when_it_has_ended_and_not_before() -> None:
    with subprocess.Popen([sys.executable, "-c", TELLS], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        assert not is_provably_dead(name)
        process.kill()
        process.stdout.read()

        while process.poll() is None:
            pass
    assert is_provably_dead(name)


def test_process_that_ended_is_dead_also_while_nobody_asked_how() -> None:
    with subprocess.Popen([sys.executable, "-c", TELLS], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        process.kill()
        process.stdout.read()  # its end: from here on it is a zombie, or about to be

        while not is_provably_dead(name):
            pass
        assert process.poll() is not None


def test_number_that_another_process_got_is_no_sign_of_life() -> None:
    *where, number, started = this_process().split(":")

    assert is_provably_dead(":".join([*where, number, str(int(started) - 1)]))
    assert not is_provably_dead(this_process())


@pytest.mark.parametrize("part", [0, 1], ids=["another machine", "another container"])
def test_nothing_is_certain_about_a_process_elsewhere(part: int) -> None:
    parts = this_process().split(":")
    parts[part] = "7"
    parts[2] = "999999999"

    assert not is_provably_dead(":".join(parts))


@pytest.mark.parametrize("name", ["", "nonsense", "a:b:c:d", "unknown:unknown:1:gone", "boot:7:9"])
def test_name_in_another_form_is_nobodys(name: str) -> None:
    assert not is_provably_dead(name)


def test_x4_former_life_of_this_process_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its program was started again in its place, with the same number and start."""
    monkeypatch.setenv("TABSERVE_LIVES", "0")
    former = this_process()
    assert not is_provably_dead(former)

    note_next_life()

    assert is_provably_dead(former)
    assert not is_provably_dead(this_process())
