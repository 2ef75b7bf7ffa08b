"""Lists of versions and recipes, as the command line prints them."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from modelstore import ModelRepository
from tests.training.cli.consoles import row, text
from training.cli.lists import print_recipes, print_versions
from training.config.recipe import BUILT_IN, load_recipe


def test_the_list_marks_the_active_version_and_names_a_broken_one(console: Console, store: ModelRepository) -> None:
    (store.root / "clouds" / "1" / "manifest.json").write_text("{")

    print_versions(console, store)

    lines = [line for line in text(console).splitlines() if "clouds" in line]
    assert "broken" in lines[0]
    assert "manifest_invalid" in lines[0]
    assert "active" in lines[1]


def test_an_empty_store_says_what_to_do(console: Console, tmp_path: Path) -> None:
    print_versions(console, ModelRepository(tmp_path))

    assert "`python -m training ensure`" in " ".join(text(console).split())  # the path decides where lines end


def test_recipes_show_their_settings(console: Console) -> None:
    print_recipes(console, [("cancer-tutorial", load_recipe("cancer-tutorial", BUILT_IN))])

    assert row(console, "cancer-tutorial") == ["cancer", "CancerNet", "15,15", "sgd", "0.01", "60", "128"]
