from __future__ import annotations

import os
import signal

import pytest

from training.cli.cancellation import SIGNALS, Cancellation, Cancelled


def test_a_request_to_terminate_raises_cancelled_and_says_which_signal_it_was() -> None:
    with Cancellation(), pytest.raises(Cancelled, match="SIGTERM"):
        os.kill(os.getpid(), signal.SIGTERM)


def test_the_first_interrupt_asks_to_finish_and_the_second_cancels() -> None:
    with Cancellation() as cancellation:
        before = cancellation.end_requested
        os.kill(os.getpid(), signal.SIGINT)
        assert (before, cancellation.end_requested) == (False, True)
        with pytest.raises(Cancelled, match="SIGINT"):
            os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_that_has_ended_a_search_is_not_the_first_one_of_the_training() -> None:
    with Cancellation() as cancellation:
        os.kill(os.getpid(), signal.SIGINT)
        cancellation.search_ended()
        before = cancellation.end_requested
        os.kill(os.getpid(), signal.SIGINT)
        assert (before, cancellation.end_requested) == (False, True)


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
