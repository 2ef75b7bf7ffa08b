"""Errors of the store: one base, attributes for code, a sentence for people."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelstore import BrokenVersion, InvalidName, PublishError, StoreError, UnknownModel, UnknownVersion


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UnknownModel("rose", ("cancer", "iris")), "no model 'rose'; the store has cancer, iris"),
        (UnknownModel("rose", ()), "no model 'rose'; the store has no models yet"),
        (UnknownVersion("iris", 4, (1, 3)), "model 'iris' has no version 4; published: 1, 3"),
        (InvalidName("a version", 0, "a whole number"), "a version must be a whole number, got 0"),
        (BrokenVersion("iris", 3, "integrity_size", "short"), "iris version 3 is broken (integrity_size): short"),
        (PublishError("iris", "disk full", Path("models"), 28), "cannot write model 'iris' in models: disk full"),
    ],
    ids=lambda case: type(case).__name__ if isinstance(case, Exception) else "",
)
def test_message_says_what_was_wanted_and_what_is_there(error: StoreError, message: str) -> None:
    assert str(error) == message
    assert isinstance(error, StoreError)


def test_message_about_a_huge_name_stays_short() -> None:
    assert len(str(InvalidName("a model name", "x" * 1_000_000, "short"))) < 150


def test_errors_carry_their_data() -> None:
    version = UnknownVersion("iris", 4, (1, 3))
    assert (version.name, version.version, version.known) == ("iris", 4, (1, 3))
    broken = BrokenVersion("iris", 3, "integrity_size", "short")
    assert (broken.reason, broken.detail) == ("integrity_size", "short")
    assert PublishError("iris", "disk full", Path("models"), 28).errno == 28
