"""Turn Parquet and Arrow files into CSV text; needs the extra `arrow`."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from training.data.sources import PieceReader
from training.errors import MissingExtra

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET, ARROW = b"PAR1", b"ARROW1"
BATCH_ROWS = 1 << 14


class ArrowTable:
    """The rows of a Parquet or Arrow file, as CSV in UTF-8 with a line of names; null is an empty cell."""

    def __init__(self, stream: BinaryIO, *, parquet: bool) -> None:
        """Open the file.

        Raises:
            MissingExtra: if pyarrow is not installed.
        """
        try:
            import pyarrow  # noqa: F401, PLC0415
        except ModuleNotFoundError as error:
            raise MissingExtra("a Parquet or Arrow file", "arrow") from error
        self.problem = ""
        self._text = PieceReader(self._read(stream, parquet=parquet))

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        return self._text.read(size)

    def _read(self, stream: BinaryIO, *, parquet: bool) -> Iterator[bytes]:
        import pyarrow as pa  # noqa: PLC0415
        from pyarrow import parquet as pq  # noqa: PLC0415

        try:
            if parquet:
                file = pq.ParquetFile(stream)
                yield from self._write(file.schema_arrow, file.iter_batches(BATCH_ROWS))
            else:
                opened = pa.ipc.open_file(stream)
                batches = map(opened.get_batch, range(opened.num_record_batches))
                yield from self._write(opened.schema, batches)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            reason = str(error).splitlines()[0] if str(error) else "damaged"
            self.problem = f"the {'Parquet' if parquet else 'Arrow'} file cannot be read: {reason:.200}"

    def _write(self, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
        import pyarrow as pa  # noqa: PLC0415
        from pyarrow import csv  # noqa: PLC0415

        plain = []
        for field in schema:
            kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
            if pa.types.is_nested(kind):
                self.problem = f"column {field.name!r:.60} holds {kind!s:.60}, expected numbers, texts or dates"
                return
            plain.append(pa.field(field.name, pa.string() if _is_other(kind) else kind))
        target = pa.schema(plain)
        options = csv.WriteOptions(include_header=False, quoting_style="needed")
        yield _line(schema.names)
        for batch in batches:
            if batch.num_rows:
                sink = io.BytesIO()
                csv.write_csv(pa.Table.from_batches([batch]).cast(target), sink, options)
                yield sink.getvalue()


def _is_other(kind: pa.DataType) -> bool:
    """Return whether a type must be written as text first."""
    import pyarrow as pa  # noqa: PLC0415

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_time(kind))


def _line(names: list[str]) -> bytes:
    return (",".join('"' + name.replace('"', '""') + '"' for name in names) + "\n").encode()
