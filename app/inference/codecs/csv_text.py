"""Bring the text of a CSV body to UTF-8 with doubled quotes.

Only versions with such a file need it. This module must not know lines or columns.
"""

from __future__ import annotations

import codecs

from app.errors import MalformedBody
from app.inference.codecs.csv_records import NO_CSV
from modelstore import Dialect
from modelstore.reading import CP1252

_BACKSLASH = b"\\"


class TrainedText:
    """Read a body that is written as the training file, or in UTF-8 with doubled quotes as any body may be."""

    def __init__(self, dialect: Dialect) -> None:
        self._encoding = dialect.encoding
        self._is_escaped = bool(dialect.escape)
        self._quote = (dialect.quote or '"').encode()
        self._decoder: codecs.IncrementalDecoder | None = None
        self._is_cp1252 = False
        self._begin = self._rest = b""

    @staticmethod
    def is_unusual(dialect: Dialect) -> bool:
        """Return whether a file is written in a way that bodies are not without such a training file."""
        return dialect.encoding != "utf-8" or bool(dialect.escape)

    def feed(self, data: bytes, *, ended: bool = False) -> bytes:
        """Return the text of the next piece of the body.

        Raises:
            MalformedBody: if it is not in the encoding that its beginning has.
        """
        text = data if self._encoding == "utf-8" else self._decode(data, ended=ended)
        if not self._is_escaped:
            return text
        text = self._rest + text
        self._rest = _BACKSLASH if text.endswith(_BACKSLASH) and not ended else b""
        return text.removesuffix(self._rest).replace(_BACKSLASH + self._quote, 2 * self._quote)

    def finish(self) -> bytes:
        """Return the rest of the text at the end of the body."""
        return self.feed(b"", ended=True)

    def _decode(self, data: bytes, *, ended: bool) -> bytes:
        """Return text of UTF-16 with its mark; of UTF-8, or of cp1252 from the first byte on that is not UTF-8."""
        if self._decoder is None:
            data = self._begin = self._begin + data
            if len(data) < len(codecs.BOM_UTF16) and not ended:
                return b""
            is_wide = self._encoding == "utf-16" and data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
            if self._encoding == "utf-16" and not is_wide:
                self._encoding = "utf-8"
                return data
            self._decoder = codecs.getincrementaldecoder("utf-16" if is_wide else "utf-8")()
        begun = self._decoder.getstate()[0]
        try:
            if not self._is_cp1252:
                return self._decoder.decode(data, final=ended).encode()
        except UnicodeDecodeError as error:
            if self._encoding != "cp1252":
                raise MalformedBody(NO_CSV) from error
        if not self._is_cp1252:
            data, self._is_cp1252 = begun + data, True
        return codecs.charmap_decode(data, "strict", CP1252)[0].encode()
