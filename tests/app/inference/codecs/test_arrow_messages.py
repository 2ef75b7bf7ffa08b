"""Compression is told from an Arrow message before a byte of it is unpacked."""

from __future__ import annotations

import io

import pyarrow as pa
import pytest

from app.inference.codecs.arrow_messages import is_compressed

V4 = pa.ipc.MetadataVersion.V4
WRITTEN = {
    "plain": (pa.ipc.IpcWriteOptions(), None, False),
    "plain, before 1.0": (pa.ipc.IpcWriteOptions(metadata_version=V4), None, False),
    "lz4": (pa.ipc.IpcWriteOptions(compression="lz4"), None, True),
    "zstd": (pa.ipc.IpcWriteOptions(compression="zstd"), None, True),
    "said as before 1.0": (
        pa.ipc.IpcWriteOptions(metadata_version=V4),
        {"ARROW:experimental_compression": "lz4"},
        True,
    ),
}


@pytest.mark.parametrize(("options", "metadata", "compressed"), WRITTEN.values(), ids=WRITTEN.keys())
def test_compression_of_a_record_batch_is_told(
    options: pa.ipc.IpcWriteOptions, metadata: dict[str, str] | None, compressed: bool
) -> None:
    (batch,) = messages(pa.record_batch({"x": [0.5] * 100}), options, metadata)

    assert is_compressed(batch) == compressed


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_compression_of_a_dictionary_is_told(compression: str | None) -> None:
    column = pa.array(["a", "b"] * 100).dictionary_encode()

    dictionary, _ = messages(pa.record_batch({"x": column}), pa.ipc.IpcWriteOptions(compression=compression))

    assert dictionary.type == "dictionary"
    assert is_compressed(dictionary) == (compression is not None)


def messages(
    batch: pa.RecordBatch, options: pa.ipc.IpcWriteOptions, metadata: dict[str, str] | None = None
) -> list[pa.ipc.Message]:
    """Return the messages of a stream after its schema."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batch.schema, options=options) as stream:
        stream.write_batch(batch, custom_metadata=metadata)
    return list(pa.ipc.MessageReader.open_stream(sink.getvalue()))[1:]
