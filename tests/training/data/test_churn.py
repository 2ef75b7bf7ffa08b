from __future__ import annotations

import csv
import io
import math
import re

import pytest

from modelstore.features import MISSING_VALUES
from tests.training.samples import DATA
from training.data.churn import CHURN_ROWS, Draws, churn_csv, customers


def test_draws_are_splitmix64() -> None:
    """Reference values: the first outputs for seed 1234567 in Rosetta Code's task "Splitmix64"."""
    draws = Draws(1234567)

    found = [draws.below(1 << 32) for _ in range(3)]

    assert found == [number >> 32 for number in (6457827717110365317, 3203168211198807973, 9817491932198370423)]


def test_draws_fall_evenly_below_their_limit() -> None:
    draws = Draws(5)
    counts = [0] * 7
    for _ in range(7000):
        counts[draws.below(7)] += 1

    chi_square = sum((count - 1000) ** 2 / 1000 for count in counts)
    assert chi_square < 22.5  # 6 degrees of freedom: once in a thousand seeds


def test_the_best_rule_is_right_as_often_as_the_readme_says() -> None:
    rows = customers()
    stated = re.search(r"right for ([\d.]+) % of\s+these rows", (DATA / "README.md").read_text("utf-8"))
    right = sum((row.chance > 50) == row.leaves for row in rows) / len(rows)
    best = sum(max(row.chance, 100 - row.chance) for row in rows) / 100 / len(rows)  # by a rule that knows chances
    deviation = math.sqrt(sum(row.chance * (100 - row.chance) for row in rows)) / 100 / len(rows)

    assert stated
    assert round(100 * best, 1) == float(stated[1])
    assert right == pytest.approx(best, abs=3 * deviation)
    assert 0.2 < sum(row.leaves for row in rows) / len(rows) < 0.3


def test_the_chance_follows_from_the_cells() -> None:
    """Equal cells in the columns that count, equal chance: no rule can know more than the file says."""
    counting = ("contract", "payment", "auto_renew", "months", "calls_90d", "satisfaction")
    chances: dict[tuple[str, ...], set[int]] = {}
    for row in customers(5000, seed=3):
        dear = 90 <= float(row.cells["monthly_charges"].replace(",", "")[1:]) < 1000
        key = (str(dear), *("" if row.cells[name] in MISSING_VALUES else row.cells[name] for name in counting))
        chances.setdefault(key, set()).add(row.chance)

    assert len(chances) < 5000
    assert {len(found) for found in chances.values()} == {1}


def test_fewer_customers_are_the_first_of_more_and_another_seed_gives_others() -> None:
    assert customers(20) == customers(50)[:20]
    assert customers(20, seed=15) != customers(20)


def test_the_file_has_the_troubles_of_real_ones() -> None:
    header, *rows = csv.reader(io.StringIO(churn_csv().decode()))
    column = {name: [row[place] for row in rows] for place, name in enumerate(header)}

    assert len(rows) == CHURN_ROWS
    assert len(set(column["customer_id"])) == CHURN_ROWS
    assert set(column["country"]) == {"CA"}
    assert set(column["fax"]) == {""}
    assert {"", "NA"} <= set(column["calls_90d"])
    assert "?" in column["payment"]
    assert 0 < column["region"].count("Yukon") < 5
    assert all(re.fullmatch(r"\$\d{1,3}(,\d{3})*\.\d\d", cell) for cell in column["monthly_charges"])
    assert any("," in cell for cell in column["monthly_charges"])
    assert all(re.fullmatch(r"\d+ %", cell) for cell in column["discount"])
    assert max(int(cell[:2]) for cell in column["last_contact"] if cell) > 12  # decides day/month/year
    assert set(column["churned"]) == {"yes", "no"}
