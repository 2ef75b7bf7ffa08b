"""Print a confusion matrix in the form that fits the width of the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from modelstore import Evaluation

SHOWN_MISTAKES = 5  # of each class, if the matrix is too wide
WIDE = 100_000


def confusion_table(console: Console, evaluation: Evaluation) -> Table:
    """Return the counts by true and predicted class, in the fullest form that fits the console."""
    unlimited = console.options.update(width=WIDE, markup=False)
    for table in (_build_matrix(evaluation), _dense(evaluation)):
        if console.measure(table, options=unlimited).maximum <= console.width:
            return table
    return _mistakes(evaluation)


def _build_matrix(evaluation: Evaluation) -> Table:
    table = _new_table("confusion matrix")
    table.add_column("true \\ predicted", overflow="fold")
    for name in evaluation.per_class:
        table.add_column(name, justify="right", overflow="fold")
    for name, counts in zip(evaluation.per_class, evaluation.confusion, strict=True):
        table.add_row(name, *map(str, counts))
    return table


def _dense(evaluation: Evaluation) -> Table:
    """Return the matrix without borders, with dots for zeros, and with numbers in place of long names."""
    names, width = list(evaluation.per_class), len(str(max(map(max, evaluation.confusion))))
    if max(map(len, names)) > width:
        heads = [str(number) for number in range(1, len(names) + 1)]
        names = [f"{name} {head}" for name, head in zip(names, heads, strict=True)]
    else:
        heads = names
    table = _new_table("confusion matrix: a line for each true class, a column for each predicted one", plain=True)
    table.add_column("", justify="right", no_wrap=True)
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for name, counts in zip(names, evaluation.confusion, strict=True):
        table.add_row(name, *(str(count) if count else "·" for count in counts))
    return table


def _mistakes(evaluation: Evaluation) -> Table:
    """Return for each class how many of its rows are right, and which classes the others are taken for."""
    names = list(evaluation.per_class)
    table = _new_table("confusion matrix, by true class")
    for title in ("true", "rows", "right", "predicted instead (rows)"):
        table.add_column(title, overflow="fold")
    for true, counts in enumerate(evaluation.confusion):
        found = [(count, other) for other, count in enumerate(counts) if count and other != true]
        found.sort(key=lambda mistake: -mistake[0])
        shown = [f"{names[other]} ({count})" for count, other in found[:SHOWN_MISTAKES]]
        rest = sum(count for count, _ in found[SHOWN_MISTAKES:])
        shown += [f"others ({rest})"] if rest else []
        table.add_row(names[true], str(sum(counts)), str(counts[true]), ", ".join(shown))
    return table


def _new_table(title: str, *, plain: bool = False) -> Table:
    if plain:
        return Table(title=title, title_justify="left", box=None, padding=(0, 0, 0, 1), pad_edge=False)
    return Table(title=title, title_justify="left")
