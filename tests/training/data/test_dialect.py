"""Delimiters and quotes, detected."""

from __future__ import annotations

import pytest

from modelstore import Dialect
from training.data.dialect import Syntax, decimal_of, detect


@pytest.mark.parametrize(
    ("text", "syntax"),
    [
        ("a,b\n1,2\n3,4\n", Syntax()),
        ("a;b;c\n1,5;2,5;x\n3,5;4,5;y\n", Syntax(";")),
        ("a\tb\n1\tx, y\n2\tz, u\n", Syntax("\t")),
        ("a|b\n1|2\n", Syntax("|")),
        ("a,b\n'x, y',1\n'z',2\n", Syntax(",", "'")),
        ('a, b\n1, "x, y"\n2, "z"\n', Syntax(spaced=True)),
        ('a;b\n"""x"";1"\n"""y"";2"\n', Syntax(";", wrapped=True)),
        ('a,b\n1,"say \\"x\\", y"\n2,"z"\n', Syntax(escaped=True)),
        ("text\nhello\nworld\n", Syntax()),
    ],
    ids=["commas", "semicolons", "tabs", "bars", "single quotes", "blanks", "wrapped", "backslashes", "one column"],
)
def test_it_is_found_from_the_rows(text: str, syntax: Syntax) -> None:
    assert detect(text, Dialect()) == syntax


def test_what_is_given_is_not_questioned() -> None:
    assert detect("a;b\n1;2\n", Dialect(delimiter=",")).delimiter == ","
    backslashes = 'a,b\n1,"say \\"x\\", y"\n2,"z"\n'
    assert not detect(backslashes, Dialect(escape="")).escaped
    assert detect("a,b\n1,2\n", Dialect(escape="\\")).escaped


def test_backslash_before_the_quote_of_the_file_is_mended() -> None:
    assert Syntax(quote="'", escaped=True).mend(b"'it\\'s',\\\"x\n") == b"'it''s',\\\"x\n"


def test_comma_is_decimal_only_where_it_cannot_separate_thousands() -> None:
    assert decimal_of([["1,5", "2"]]) == (",", None)
    assert decimal_of([["1,234", "2,345"]]) == (".", 0)
    assert decimal_of([["1,234"], ["1.5"]]) == (".", None)
