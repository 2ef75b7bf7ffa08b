"""Make `data/churn.csv`: invented customers, with the troubles of real files.

All draws are integer arithmetic, so the bytes are the same on every machine and with every version of every library.
No row is about a person.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

CHURN_ROWS = 2000
TARGET = "churned"
FIRST_DAY = date(2019, 1, 1)
LAST_DAY = date(2025, 6, 30)
MASK = (1 << 64) - 1

PLANS = {"basic": 400, "standard": 340, "premium": 257, "founder": 2, "staff": 1}
CONTRACTS = {"month to month": 52, "one year": 27, "two years": 21}
PAYMENTS = {"card": 40, "bank transfer": 34, "cheque": 20, "?": 6}
REGIONS = {"Ontario": 380, "Québec": 300, "Alberta": 200, "Manitoba": 118, "Yukon": 2}
TOPICS = ("the bill", "a slow line", "a new router", "moving house", "the contract", "roaming", "a refund", "the app")
MOODS = ("asked about", "was unhappy with", "wrote twice about", "thanked us for help with", "called again about")
ENDS = (
    "no answer yet",
    "solved",
    "will call back",
    "sent to billing",
    "asked for a visit, then declined",
    "sent a form",
)

CHANCES = (1, 2, 2, 3, 5, 8, 14, 25, 50, 75, 88, 94, 97, 98, 98, 99)
"""Percent of customers who leave, by score."""


class Draws:
    """Random whole numbers by SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), the same everywhere."""

    def __init__(self, seed: int) -> None:
        self._state = seed & MASK

    def below(self, limit: int) -> int:
        """Return a number from 0 to `limit` - 1; `limit` is at most 2**32."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & MASK
        bits = self._state
        bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & MASK
        return ((bits ^ (bits >> 31)) >> 32) * limit >> 32

    def happens(self, percent: int) -> bool:
        """Return true in `percent` of 100 calls."""
        return self.below(100) < percent

    def one_of(self, texts: Sequence[str]) -> str:
        """Return one of the texts, each as likely as the others."""
        return texts[self.below(len(texts))]

    def draw(self, weights: dict[str, int]) -> str:
        """Return one of the texts, as likely as its weight."""
        rest = self.below(sum(weights.values()))
        for text, weight in weights.items():
            rest -= weight
            if rest < 0:
                return text
        raise AssertionError("weights are positive")


@dataclass(frozen=True)
class Customer:
    """One invented customer.

    Attributes:
        cells: texts of the row by column, without the target.
        chance: percent of customers with these cells who leave.
        leaves: whether this one does.
    """

    cells: dict[str, str]
    chance: int
    leaves: bool


def customers(rows: int = CHURN_ROWS, seed: int = 14) -> list[Customer]:
    """Return the customers of `churn.csv`, or others with another seed; fewer rows are the first of more."""
    draws = Draws(seed)
    return [_customer(draws, number) for number in range(rows)]


def churn_csv(rows: int = CHURN_ROWS, seed: int = 14) -> bytes:
    """Return the file: UTF-8, commas, a cell quoted where it must be."""
    found = customers(rows, seed)
    return to_csv((*found[0].cells, TARGET), [[*row.cells.values(), "yes" if row.leaves else "no"] for row in found])


def to_csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    """Return the cells as a CSV file."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([header, *rows])
    return stream.getvalue().encode()


def _customer(draws: Draws, number: int) -> Customer:
    plan, contract = draws.draw(PLANS), draws.draw(CONTRACTS)
    joined = FIRST_DAY + timedelta(draws.below((LAST_DAY - FIRST_DAY).days))
    days = (LAST_DAY - joined).days
    called = LAST_DAY - timedelta(draws.below(min(365, days) + 1))
    cents = {"basic": 1900, "standard": 4500, "premium": 8900}.get(plan, 900) + draws.below(3000)
    cents *= 25 if draws.happens(4) else 1  # a firm with many lines
    calls, stars = min(draws.below(6), draws.below(9)), 1 + max(draws.below(5), draws.below(5))
    gigabytes = draws.below(5000)
    known_calls, known_stars = not draws.happens(7), not draws.happens(15)
    cells = {
        "customer_id": f"C-{10_000 + number * 7 + draws.below(7)}",
        "joined": joined.isoformat(),
        "last_contact": "" if draws.happens(10) else called.strftime("%d/%m/%Y"),
        "plan": plan,
        "contract": contract,
        "payment": draws.draw(PAYMENTS),
        "region": draws.draw(REGIONS),
        "auto_renew": "yes" if draws.happens(60) else "no",
        "monthly_charges": f"${cents // 100:,}.{cents % 100:02}",
        "discount": f"{5 * draws.below(6)} %",
        "months": str(days // 30),
        "calls_90d": str(calls) if known_calls else draws.one_of(("", "NA")),
        "satisfaction": str(stars) if known_stars else "",
        "data_gb": "NA" if draws.happens(5) else f"{gigabytes / 10:.1f}",
        "country": "CA",
        "fax": "",
        "notes": _note(draws, number),
    }
    chance = CHANCES[_score(cells, cents)]
    return Customer(cells, chance, draws.happens(chance))


def _note(draws: Draws, number: int) -> str:
    if draws.happens(12):
        return ""
    day = 1 + draws.below(28)
    return f"{draws.one_of(MOODS)} {draws.one_of(TOPICS)} on day {day}, {draws.one_of(ENDS)} ({number % 97})"


def _score(cells: dict[str, str], cents: int) -> int:
    """Return 0 to 15 points; each column that counts is in the file, with its gaps."""
    calls, stars = cells["calls_90d"], cells["satisfaction"]
    return (
        {"month to month": 4, "one year": 1, "two years": 0}[cells["contract"]]
        + (3 if calls.isdigit() and int(calls) >= 3 else 0)
        + ({"1": 3, "2": 3, "3": 2}.get(stars, 0) if stars else 1)
        + (2 if int(cells["months"]) < 12 else 1 if int(cells["months"]) < 30 else 0)
        + (0 if cells["auto_renew"] == "yes" else 1)
        + (1 if cells["payment"] == "cheque" else 0)
        + (1 if 9000 <= cents < 100_000 else 0)
    )
