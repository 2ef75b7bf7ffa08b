"""What all records have in common, and the types of their fields."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from modelstore.records import Count, Finite, Label, ModelName, Ratio, Record, Sha256


class Sample(Record):
    name: ModelName = "iris"
    label: Label = "setosa"
    sha256: Sha256 = "0" * 64
    rows: Count = 1
    share: Ratio = 0.5
    loss: Finite = 0.0


def test_record_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Sample().rows = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Iris"),
        ("label", ""),
        ("label", "x" * 201),
        ("sha256", "0" * 63),
        ("rows", -1),
        ("rows", "1"),
        ("rows", True),
        ("share", 1.1),
        ("loss", float("nan")),
        ("unknown", 1),
    ],
)
def test_value_that_a_field_cannot_have_is_refused_and_not_converted(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        Sample.model_validate({field: value})

    assert [error["loc"] for error in caught.value.errors()] == [(field,)]
