"""Queries of the model routes, and the example that each model shows."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from app.api.schemas.models import example_of
from modelstore import CategoricalFeature
from tests.modelstore.samples import sample_manifest


@pytest.mark.parametrize("model", ["means", "thirds"])
def test_example_works_as_it_stands(steady: TestClient, model: str) -> None:
    example = steady.get(f"/models/{model}").json()["example"]

    answer = steady.request(
        example["method"], example["path"], json=example["body"], headers={"content-type": example["content_type"]}
    )

    assert answer.status_code == 200
    assert "warnings" not in answer.json()


def test_example_is_a_row_of_medians_and_of_names_where_a_column_is_no_number() -> None:
    numeric = sample_manifest()
    category = CategoricalFeature(name="soil", categories={"sand": 5, "clay": 9})
    typed = numeric.model_copy(update={"features": (numeric.features[0], category)})

    assert example_of(numeric).model_dump()["body"] == {"instances": [[3.0, 1.5]]}
    assert example_of(typed).model_dump()["body"] == {"instances": [{"petal length": 3.0, "soil": "clay"}]}
    assert numeric.golden.features[0] != (3.0, 1.5)
