"""Tables as bodies of requests and back: DataFrames and lists of rows.

Each body is at most 1 MiB, so that the service checks all of it before it answers, and a table of any size takes little
memory. This module must not know HTTP.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tabserve.columns import Columns, Fitted, fit_columns
from tabserve.errors import WrongInput
from tabserve.late import has, load_optional

if TYPE_CHECKING:
    import pandas as pd

MAX_BODY_BYTES = 1 << 20
FEW_ROWS = 32

ARROW = "application/vnd.apache.arrow.stream"
CSV = "text/csv"
TABS = "text/tab-separated-values"
ROWS = "application/x-ndjson"

_NUMBERS = ("probability", "value", "low", "high", "base", "other_contributions")
_NUMBERS_OF = ("probability_", "contribution_", "standard_error_")  # a class or a column

_WRITTEN_BYTES = 40  # of a cell, about; a body that is too large is halved


@dataclass(frozen=True, slots=True)
class Body:
    """Some consecutive rows of a table, as they are sent.

    Attributes:
        before: rows (of a file: lines below the header) in front of them.
    """

    content: bytes
    content_type: str
    before: int

    @property
    def answered(self) -> str:
        """Return the content type in which the answer is wanted."""
        return CSV if self.content_type == TABS else self.content_type


def frame_bodies(
    frame: pd.DataFrame,
    columns: Columns,
    *,
    ignore_extra: bool = False,
    few: bool = False,
    id_column: str | None = None,
) -> Iterator[Body]:
    """Yield a DataFrame in bodies: Arrow if it is installed and suits every column, otherwise CSV.

    Args:
        frame: the rows.
        columns: columns of the version.
        ignore_extra: leave out columns that it does not know.
        few: at most `FEW_ROWS` rows in a body, because each takes long.
        id_column: column with ids, which the model need not know.
    """
    fitted = fit_columns(frame, columns, ignore_extra=ignore_extra, id_column=id_column)
    content_type = ARROW if fitted.suits_arrow and has("pyarrow") else CSV
    part = _arrow_part(fitted) if content_type == ARROW else _csv_part(fitted)
    most = max(1, MAX_BODY_BYTES // (_WRITTEN_BYTES * max(1, fitted.frame.shape[1])))
    most = min(most, FEW_ROWS) if few else most
    for start in range(0, max(1, len(frame)), most):  # no rows are a body, too: the answer has its columns
        yield from _yield_halves(part, start, min(len(frame), start + most), content_type)


def row_bodies(rows: Sequence[Any], *, few: bool = False) -> Iterator[Body]:
    """Yield rows, each a list of values or an object with names, as lines of JSON; few as in `frame_bodies`.

    Raises:
        WrongInput: if a value has no JSON.
    """
    lines: list[bytes] = []
    size = before = 0
    for row in rows:
        line = json_of(row, f"row {before + len(lines)}") + b"\n"
        if lines and (size + len(line) > MAX_BODY_BYTES or (few and len(lines) == FEW_ROWS)):
            yield Body(b"".join(lines), ROWS, before)
            lines, size, before = [], 0, before + len(lines)
        lines.append(line)
        size += len(line)
    if lines:
        yield Body(b"".join(lines), ROWS, before)


def read_frame(parts: Sequence[bytes], content_type: str, index: Any) -> pd.DataFrame:
    """Return answers as one DataFrame; texts are `str`, numbers float32.

    Args:
        parts: the answers, in order.
        content_type: Arrow or CSV.
        index: index of the rows; None to number them.
    """
    pandas = load_optional("pandas", "pandas", "a DataFrame")
    read = _read_arrow if content_type == ARROW else _read_csv
    frame: pd.DataFrame = pandas.concat([read(part) for part in parts], ignore_index=True)
    if index is not None:
        frame.index = index
    return frame


def read_rows(parts: Sequence[bytes]) -> list[dict[str, Any]]:
    """Return answers in lines of JSON as a list."""
    return [json.loads(line) for part in parts for line in part.splitlines()]


def without_header(content: bytes, content_type: str) -> bytes:
    """Return an answer without its header line, if its format has one."""
    return content if content_type == ROWS else content.partition(b"\n")[2]


def _yield_halves(part: Callable[[int, int], bytes], start: int, stop: int, content_type: str) -> Iterator[Body]:
    """Yield rows in one body, or in two if it is too large."""
    content = part(start, stop)
    if len(content) <= MAX_BODY_BYTES or stop - start == 1:
        yield Body(content, content_type, start)
        return
    middle = (start + stop) // 2
    yield from _yield_halves(part, start, middle, content_type)
    yield from _yield_halves(part, middle, stop, content_type)


def _csv_part(fitted: Fitted) -> Callable[[int, int], bytes]:
    def write(start: int, stop: int) -> bytes:
        """Return some rows as CSV with its header."""
        text: str = fitted.text_rows(start, stop).to_csv(index=False, lineterminator="\n")
        return text.encode()

    return write


def _arrow_part(fitted: Fitted) -> Callable[[int, int], bytes]:
    pa = load_optional("pyarrow", "tabserve[arrow]", "Arrow")
    table = pa.Table.from_pandas(fitted.frame, preserve_index=False)

    def write(start: int, stop: int) -> bytes:
        """Return some rows as an Arrow stream of one record batch."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table.slice(start, stop - start))
        content: bytes = sink.getvalue().to_pybytes()
        return content

    return write


def _read_arrow(content: bytes) -> pd.DataFrame:
    pa = load_optional("pyarrow", "tabserve[arrow]", "Arrow")
    table = pa.ipc.open_stream(content).read_all()
    for place, column in enumerate(table.columns):
        if pa.types.is_dictionary(column.type):
            table = table.set_column(place, table.field(place).name, column.cast(column.type.value_type))
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _read_csv(content: bytes) -> pd.DataFrame:
    pandas = load_optional("pandas", "pandas", "a DataFrame")
    frame: pd.DataFrame = pandas.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
    numbers = [name for name in map(str, frame) if name in _NUMBERS or name.startswith(_NUMBERS_OF)]
    numbers += ["decision"] if "label" not in frame and "decision" in frame else []  # that of a quantity
    for name in numbers:  # nothing stands where a row has none
        frame[name] = pandas.to_numeric(frame[name].replace("", None)).astype("float32")
    return frame


def json_of(row: Any, name: str) -> bytes:
    """Return a row as JSON, with null for what is missing in pandas and NumPy, and dates as texts.

    Raises:
        WrongInput: with the name of the row, if a value has no JSON.
    """
    try:
        return json.dumps(_without_nan(row), default=_plain_value, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise WrongInput(f"{name} cannot be written as JSON: {error}") from error


def _without_nan(row: Any) -> Any:
    """Return a row with null in place of NaN."""
    if isinstance(row, dict):
        return {name: _gap(value) for name, value in row.items()}
    values = row.tolist() if hasattr(row, "tolist") and not _is_time(row) else row
    return [_gap(value) for value in values] if isinstance(values, list | tuple) or _is_time(values) else values


def _gap(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _plain_value(value: Any) -> Any:
    """Return a scalar of NumPy as a Python value, a date as text, and what pandas has for a gap as None."""
    if _is_time(value):
        value = value.astype("datetime64[us]").item()  # that of nanoseconds is a number
    elif hasattr(value, "item"):
        return _gap(value.item())
    if value is None or (has("pandas") and value is load_optional("pandas", "pandas", "a gap").NA):
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat() if value == value else None  # noqa: PLR0124 - NaT is not itself
    raise TypeError(f"{type(value).__name__} is no JSON")


def _is_time(value: Any) -> bool:
    return getattr(getattr(value, "dtype", None), "kind", "") == "M" and hasattr(value, "astype")
