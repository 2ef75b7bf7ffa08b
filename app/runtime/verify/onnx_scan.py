"""Scan an ONNX file before ONNX Runtime loads it: one graph of admitted operators, whole.

The file is a protobuf message (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). Fields and operators that are
not listed here are refused: other files, functions, loops, branches, random numbers, other vendors' operators. A field
that may occur once must not occur twice, because two readers could use different ones. This module must not import
onnx or ONNX Runtime.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app.runtime.verify.zip_archive import Forbidden

MAX_FIELDS = 2_000_000  # a few seconds; a forest of 1,000 trees with 255 leaves has half as many
MAX_NODES = 10_000

_LINES = Path(__file__).with_name("admitted_operators.txt").read_text("ascii").splitlines()
_OPERATORS = frozenset(word for line in _LINES if not line.startswith("#") for word in line.split())
_OF_TREES = frozenset(("TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor"))
_DOMAINS = {"": _OPERATORS, "ai.onnx": _OPERATORS, "ai.onnx.ml": _OF_TREES}
# Operators whose inputs from this position on say how large the result is.
_SIZED_FROM = {"ConstantOfShape": 0} | dict.fromkeys(
    ("Expand", "OneHot", "Pad", "Reshape", "Slice", "Split", "Squeeze", "Tile", "Unsqueeze"), 1
)

_ORT_FORMAT = b"ORTM"  # at byte 4 of another format, which ONNX Runtime would read without this scan
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# Integers and floats of an attribute, one field for each; taking them in one step is a hundred times as fast.
_NUMBERS = re.compile(rb"(?:\x40[\x80-\xff]{0,9}[\x00-\x7f])+|(?:\x3d[\x00-\xff]{4})+")

Fields = dict[int, list["int | bytes | Fields"]]


@dataclass(frozen=True)
class _Message:
    """The admitted fields of a kind of message: those that may occur once and those that may repeat, by number."""

    name: str
    once: frozenset[int]
    many: frozenset[int]
    inner: Mapping[int, _Message] = field(default_factory=dict)
    skips_numbers: bool = False


_TENSOR = _Message("tensor", frozenset((2, 8, 9, 12, 14)), frozenset((1, 4, 5, 7, 10, 11, 13, 16)))
_ATTRIBUTE = _Message(
    "attribute", frozenset((1, 2, 3, 4, 5, 6, 13, 20)), frozenset((7, 8, 9, 10, 11)), {5: _TENSOR, 10: _TENSOR}, True
)
_NODE = _Message("node", frozenset((3, 4, 6, 7, 8)), frozenset((1, 2, 5, 9)), {5: _ATTRIBUTE})
_VALUE = _Message("value", frozenset((1, 2, 3)), frozenset((4,)))
_GRAPH = _Message(
    "graph", frozenset((2, 10)), frozenset((1, 5, 11, 12, 13, 16)), {1: _NODE, 5: _TENSOR, 11: _VALUE, 12: _VALUE}
)
_OPSET = _Message("operator set", frozenset((1, 2)), frozenset())
_MODEL = _Message("model", frozenset((1, 2, 3, 4, 5, 6, 7)), frozenset((8, 14)), {7: _GRAPH, 8: _OPSET})


def inspect(model: bytes) -> None:
    """Check the whole file: the very bytes that are loaded afterwards.

    Raises:
        Forbidden: if it holds anything but one graph of admitted operators with all its weights.
    """
    if model[4:8] == _ORT_FORMAT:
        raise Forbidden("onnx_invalid", "it is in the format of ONNX Runtime; save it as ONNX")
    try:
        document = _Parser(model).read(_MODEL, 0, len(model))
    except (IndexError, ValueError) as error:
        raise Forbidden("onnx_invalid", "it is no ONNX file that can be read") from error
    for opset in _messages(document, 8):
        _require_domain(_text(opset, 1))
    graphs = _messages(document, 7)
    if not graphs:
        raise Forbidden("onnx_invalid", "it has no graph")
    _check_graph(graphs[0])


class _Parser:
    """Read the wire format (https://protobuf.dev/programming-guides/encoding) and refuse fields that are not listed."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = MAX_FIELDS

    def read(self, kind: _Message, at: int, end: int) -> Fields:
        """Return the fields of a message between two positions; inner messages that matter are read too."""
        found: Fields = {}
        while at < end:
            if kind.skips_numbers and (numbers := _NUMBERS.match(self._data, at, end)):
                at = numbers.end()
                continue
            self._left -= 1
            if self._left < 0:
                raise Forbidden("onnx_invalid", f"it has more than {MAX_FIELDS} fields")
            tag, at = self._varint(at)
            number, wire = tag >> 3, tag & 7
            values = found.setdefault(number, [])
            if number not in kind.many and (number not in kind.once or values):
                why = "twice" if values else "which no classifier needs"
                raise Forbidden("onnx_forbidden", f"a {kind.name} has field {number} {why}")
            value, at = self._value(wire, at, end)
            inner = kind.inner.get(number)
            values.append(value if inner is None or isinstance(value, int) else self.read(inner, at - len(value), at))
        if at != end:
            raise ValueError("a field is longer than its message")
        return found

    def _value(self, wire: int, at: int, end: int) -> tuple[int | bytes, int]:
        if wire == _VARINT:
            return self._varint(at)
        if wire == _BYTES:
            size, at = self._varint(at)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError("groups are not used by ONNX")
        if at + size > end:
            raise ValueError("a field is longer than its message")
        return self._data[at : at + size], at + size

    def _varint(self, at: int) -> tuple[int, int]:
        value = 0
        for place in range(10):
            byte = self._data[at + place]
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                return value, at + place + 1
        raise ValueError("a number has more than ten bytes")


def _check_graph(graph: Fields) -> None:
    """Refuse operators that are not admitted, and sizes that depend on the rows."""
    nodes, tensors = _messages(graph, 1), _messages(graph, 5)
    if len(nodes) > MAX_NODES:
        raise Forbidden("onnx_forbidden", f"it has more than {MAX_NODES} nodes")
    if len(graph.get(11, [])) != 1 or len(graph.get(12, [])) != 1:
        raise Forbidden("contract_shape", "it must have one input and one output")
    depends = {_text(_messages(graph, 11)[0], 1)}  # names of values that depend on the rows
    known = {_text(tensor, 8) for tensor in tensors} | depends | {""}
    for tensor in tensors:
        _require_whole(tensor)
    for node in nodes:
        name = _require_admitted(node)
        inputs, outputs = ([_decode(text) for text in node.get(number, [])] for number in (1, 2))
        if not known.issuperset(inputs):
            raise Forbidden("onnx_invalid", f"a {name} uses a value before it is computed")
        if name in _SIZED_FROM and depends.intersection(inputs[_SIZED_FROM[name] :]):
            raise Forbidden(
                "rows_not_independent", f"a {name} makes a size, which applies to all rows, of the values of some"
            )
        known.update(outputs)
        if name != "Shape" and depends.intersection(inputs):
            depends.update(outputs)


def _require_admitted(node: Fields) -> str:
    """Return the operator of a node; refuse it with attributes that hold weights elsewhere, or train."""
    name, domain = _text(node, 4), _text(node, 7)
    _require_domain(domain)
    if name not in _DOMAINS[domain]:
        raise Forbidden("operator_forbidden", f"it uses {name!r:.80}, which no classifier needs")
    for attribute in _messages(node, 5):
        if 6 in attribute or 11 in attribute:
            raise Forbidden("operator_forbidden", f"its {name} has a graph of its own, as loops and branches have")
        if _text(attribute, 1) == "training_mode" and attribute.get(3, [0]) != [0]:
            raise Forbidden("training_mode", f"its {name} is in training mode")
        for tensor in (*_messages(attribute, 5), *_messages(attribute, 10)):
            _require_whole(tensor)
    return name


def _require_whole(tensor: Fields) -> None:
    """Refuse a tensor whose values are in another file."""
    if 13 in tensor or tensor.get(14, [0]) != [0]:
        raise Forbidden("onnx_external", f"the values of {_text(tensor, 8)!r:.80} are in another file")


def _require_domain(domain: str) -> None:
    if domain not in _DOMAINS:
        raise Forbidden("operator_forbidden", f"it uses operators of {domain!r:.80}; only those of ONNX are admitted")


def _messages(fields: Fields, number: int) -> list[Fields]:
    return list(_of_type(fields, number))


def _of_type(fields: Fields, number: int) -> Iterator[Fields]:
    for value in fields.get(number, []):
        if not isinstance(value, dict):
            raise Forbidden("onnx_invalid", "a message is a number")
        yield value


def _text(fields: Fields, number: int) -> str:
    """Return a text field; empty if it is absent."""
    return _decode(fields.get(number, [b""])[0])


def _decode(value: int | bytes | Fields) -> str:
    if not isinstance(value, bytes):
        raise Forbidden("onnx_invalid", "a name is a number")
    return value.decode("ascii", "backslashreplace")
