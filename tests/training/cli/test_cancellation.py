from __future__ import annotations

import os
import signal

import pytest

from training.cli.cancellation import SIGNALS, Cancellation, Cancelled


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_raises_cancelled_and_says_which(number: signal.Signals) -> None:
    with Cancellation(), pytest.raises(Cancelled, match=number.name):
        os.kill(os.getpid(), number)


def test_a_second_signal_does_not_disturb_the_way_out() -> None:
    with Cancellation():
        with pytest.raises(Cancelled):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)


def test_when_it_is_too_late_a_signal_is_ignored() -> None:
    with Cancellation() as cancellation:
        cancellation.too_late()
        os.kill(os.getpid(), signal.SIGTERM)


def test_the_handlers_of_before_are_put_back() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]

    with Cancellation():
        pass

    assert [signal.getsignal(number) for number in SIGNALS] == before
