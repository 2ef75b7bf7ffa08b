"""Texts that would change a terminal."""

from __future__ import annotations

from tabserve.printing import printable


def test_control_characters_are_escaped() -> None:
    assert printable("\x1b[31mred\n\u202e\x07 ä") == "\\x1b[31mred\\n\\u202e\\x07 ä"
    assert printable("a\n\x1b", keep="\n") == "a\n\\x1b"
