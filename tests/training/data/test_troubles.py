"""Every trouble of real tables: types, columns left out, notices, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.data.troubles import TROUBLES, Trouble
from training.config.default_recipe import recipe_for_data
from training.data.splits import Splits, load_splits
from training.errors import DatasetError


def read(folder: Path, trouble: Trouble) -> tuple[Splits | None, list[str]]:
    """Return the splits, if the file can be used, and every sentence that was said about it."""
    path = folder / "mine.csv"
    path.write_bytes(trouble.content)
    try:
        recipe = recipe_for_data(path, trouble.target, options=trouble.options)
        splits = load_splits(recipe.data, folder, recipe.training)
    except DatasetError as error:
        return None, [str(error)]
    told = [f"{column.name} {column.reason} {column.detail}" for column in splits.left_out]
    return splits, [*splits.warnings, *told]


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES.keys())
def test_trouble_is_mended_or_named(tmp_path: Path, trouble: Trouble) -> None:
    splits, sentences = read(tmp_path, trouble)

    heard = "\n".join(sentences)
    assert [text for text in trouble.said if text not in heard] == [], heard or "nothing"
    assert (splits is None) is trouble.fails, heard
    if splits is None:
        return
    if trouble.rows:
        assert len(splits.train) + len(splits.test) == trouble.rows
    types = {column.name: column.type for column in splits.train.columns}
    assert {name: types.get(name) for name in trouble.types} == trouble.types
    reasons = {column.name: column.reason for column in splits.left_out}
    assert {name: (reason,) for name, reason in reasons.items() if reason not in trouble.left_out.get(name, ())} == {}
    assert reasons.keys() == trouble.left_out.keys()
    assert all(column.detail for column in splits.left_out)
    assert splits.target.missing == trouble.missing_targets
    if trouble.classes:
        assert set(splits.train.classes) == trouble.classes
