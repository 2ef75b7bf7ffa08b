"""The real tables in ../shared/tables, which are not in the repository, and their targets."""

from __future__ import annotations

import csv
import io
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.trainings import trained

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "tables"

TARGETS = {
    "telco.csv": "Churn",
    "titanic.csv": "Survived",
    "penguins.csv": "species",
    "mushrooms.csv": "type",
    "weathercheck.csv": "Do you typically check a daily weather report?",
    "redwine_semicolon.csv": "quality",
    "whitewine.csv": "quality",
    "adult_test_noheader.csv": "c15",
    "german_noheader.csv": "c21",
    "phoneme_noheader.csv": "c6",
    "horse_colic_noheader.csv": "c24",
    "letters.csv": "letter",
    "soybean.csv": "Class",
    "biopics_latin1.csv": "type_of_subject",
    "sms_spam.csv": "type",
    "housing.csv": "median_house_value",
    "diamonds.csv": "price",
    "insurance.csv": "charges",
    "concrete.csv": "strength",
    "taxis.csv": "tip",
    "pollution.csv": "pm2.5",
    "student_requoted.csv": "G3",
    "medicare_cost.csv": "Average Total Payments",
}
"""Target of each file; columns of files without a header are called c1, c2 and so on."""

OPTIONS: dict[str, dict[str, Any]] = {
    "sms_spam.csv": {"types": {"text": "categorical"}}  # its only other column is free text
}


@dataclass(frozen=True)
class Walk:
    """One file from the disk to an answer.

    Attributes:
        dataset: the answer of `PUT /datasets/{name}`.
        job: the answer of `POST /train` when it has ended.
        seconds: time of upload and training together.
    """

    dataset: dict[str, Any]
    job: dict[str, Any]
    seconds: float


def raw_row(content: bytes, found: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return the column names and the first whole row, as texts that a plain reader of this dialect sees."""
    encoding = {"utf-8": "utf-8-sig"}.get(found.get("encoding") or "utf-8", found.get("encoding") or "utf-8")
    lines = [line for line in content.decode(encoding, errors="replace").splitlines() if line.strip()]
    if all(line.startswith('"') and line.endswith('"') for line in lines[1:20]) and '""' in lines[1]:
        lines = [line[1:-1].replace('""', "") if line.startswith('"') else line for line in lines]
    delimiter, quote = found.get("delimiter") or ",", found.get("quote") or '"'
    rows = list(csv.reader(io.StringIO("\n".join(lines[:3])), delimiter=delimiter, quotechar=quote))
    if found.get("header") is False:
        return [f"c{place}" for place in range(1, len(rows[0]) + 1)], rows[0]
    return rows[0], rows[1]


def walk(client: httpx.Client, file: str, **overrides: object) -> Walk:
    """Send a file as it lies on the disk by one PUT, and train on it by one POST.

    Raises:
        AssertionError: with the answer, if one of the two is refused.
    """
    name = file.partition(".")[0].replace("_", "-").lower()
    began = time.monotonic()
    put = client.put(f"/datasets/{name}", content=(FOLDER / file).read_bytes(), timeout=300)
    assert put.status_code in (200, 201), f"{file}: PUT {put.status_code} {put.text[:600]}"
    wanted = {"model": name, "dataset": name, "target": TARGETS[file], "seed": 1, "activate": "always"}
    if overrides:
        wanted["overrides"] = overrides
    shown = trained(client, wanted | OPTIONS.get(file, {}))
    assert shown["status"] == "succeeded", f"{file}: {shown.get('reason')}: {shown.get('detail')}"
    return Walk(put.json(), shown, time.monotonic() - began)
