"""Scan the frozen graph before it runs: it must end, keep no state and not train.

`torchscript_scan.py` reads the text before torch does. There, the training branch of a layer looks like state. In the
frozen graph, which computes the answers, that branch is gone and torch itself reports aliases. This module must not run
the graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

import torch

from app.runtime.verify.zip_archive import Forbidden

MAX_STEPS = 100_000  # about 0.1 s of interpreter overhead; a network of twenty layers takes fifty steps
MAX_DIMENSIONS = 64  # the most that torch allows for a tensor

_TRAINED = {"aten::batch_norm": 5} | {
    f"aten::{kind}dropout{suffix}": 2 for kind in ("", "alpha_", "feature_", "feature_alpha_") for suffix in ("", "_")
}  # function to the position of its training flag
_SHAPES = {  # results that are not tensors but do not depend on the tensor's values
    f"aten::{kind}"
    for kind in ("size", "dim", "len", "numel", "is_floating_point", "requires_grad", "__is__", "__isnot__")
}
_IMMUTABLE = ("IntType", "FloatType", "BoolType", "StringType", "NoneType", "DeviceObjType")
_OPAQUE = ("prim::CallMethod", "prim::CallFunction")  # freezing inlines the callee


def require_harmless(graph: torch.Graph) -> None:
    """Check that a frozen graph ends and computes each answer from its own row only.

    Raises:
        Forbidden: if it may do anything else; the message says what to do.
    """
    nodes, aliases = list(_nodes(graph.nodes())), graph.alias_db()
    for node in nodes:
        _require_evaluation(node)
    _require_no_state(graph, nodes, aliases)
    if _steps(graph.nodes(), aliases) > MAX_STEPS:
        raise Forbidden("loop_forbidden", f"it takes more than {MAX_STEPS} steps; use functions of whole tensors")
    for node in nodes:
        _require_one_way(node)


def _nodes(nodes: Iterable[Any]) -> Iterator[Any]:
    """Yield the nodes and, recursively, all nodes in their blocks."""
    for node in nodes:
        yield node
        for block in node.blocks():
            yield from _nodes(block.nodes())


def _require_evaluation(node: Any) -> None:
    """Refuse a layer in training mode, whatever the module's own flag says: it uses other rows or random numbers."""
    kind = node.kind()
    if kind not in _TRAINED or _constant(list(node.inputs())[_TRAINED[kind]]) is False:
        return
    does = "normalises by the rows of the call" if kind == "aten::batch_norm" else "drops values at random"
    layer = kind.removeprefix("aten::").rstrip("_")
    raise Forbidden(
        "training_mode",
        f"its {layer} is in training mode and {does}; call eval() before it is scripted or traced, and keep"
        " track_running_stats=True",
    )


def _require_one_way(node: Any) -> None:
    """Refuse a number, condition or size that applies to all rows but depends on the values of some."""
    kind, inputs = node.kind(), list(node.inputs())
    counts = kind == "aten::one_hot" and (_constant(inputs[1]) or -1) < 0  # the largest value sets the class count
    tells = kind.startswith("aten::") and kind not in _SHAPES and any(map(_has_tensors, inputs))
    if counts or (tells and not any(map(_has_tensors, node.outputs()))):
        raise Forbidden(
            "rows_not_independent",
            f"it makes one number, condition or size for all rows of the values of some ({kind.partition('::')[2]});"
            " use functions of whole tensors, such as torch.where",
        )


def _require_no_state(graph: torch.Graph, nodes: list[Any], aliases: Any) -> None:
    """Refuse in-place functions on values that outlive the call, also through views, lists and other names."""
    _, *rows = graph.inputs()  # the first is the module
    kept = [value for node in nodes for value in _outliving(node) if value.type().kind() not in _IMMUTABLE]
    for node in nodes:
        if node.kind() == "prim::SetAttr" or node.kind() in _OPAQUE:
            _refuse_state(node, "an attribute")
        for written in _find_written(node):
            for values, what in (
                (kept, "a buffer, parameter, list or other attribute"),
                (rows, "the rows it was given"),
            ):
                # growing a list does not change the tensors in it, so only other values count
                holders = values if _is_tensor(written) else [value for value in values if not _is_tensor(value)]
                if any(aliases.may_contain_alias(written, value) for value in holders):
                    _refuse_state(node, what)


def _outliving(node: Any) -> Iterator[Any]:
    """Yield the values through which a node introduces, or may introduce, state of the module."""
    if node.kind() == "prim::Loop":  # torch does not track aliases from one iteration to the next
        yield from node.outputs()
        yield from next(node.blocks()).inputs()
    elif node.kind() in ("prim::GetAttr", "prim::Constant"):
        yield from node.outputs()


def _refuse_state(node: Any, what: str) -> NoReturn:
    function = node.kind().partition("::")[2]
    raise Forbidden(
        "state_forbidden",
        f"it changes {what} in place ({function}), so an answer could depend on other requests; change a clone() of it,"
        " or use the function that returns a new tensor",
    )


def _find_written(node: Any) -> list[Any]:
    """Return the arguments that a node writes to."""
    if "!" not in node.schema():
        return []
    schema: Any = torch._C.parse_schema(node.schema())
    arguments = zip(schema.arguments, node.inputs(), strict=True)
    return [value for argument, value in arguments if argument.alias_info and argument.alias_info.is_write]


def _has_tensors(value: Any) -> bool:
    return "Tensor" in str(value.type())


def _is_tensor(value: Any) -> bool:
    return bool(value.type().kind() == "TensorType")


def _steps(nodes: Iterable[Any], aliases: Any) -> int:
    """Return the largest number of steps that the nodes can take."""
    steps = 0
    for node in nodes:
        rounds = _most(node.inputsAt(0), aliases) if node.kind() == "prim::Loop" else 1
        if rounds is None:
            raise Forbidden(
                "loop_forbidden",
                "it has a loop whose number of rounds depends on the rows that it is given; use functions of whole"
                " tensors, or `for i in range(3)` with a number",
            )
        steps += 1 + rounds * sum(_steps(block.nodes(), aliases) for block in node.blocks())
    return steps


def _most(value: Any, aliases: Any) -> int | None:
    """Return an upper bound of an integer value; None if it depends on the rows."""
    node = value.node()
    kind, inputs = node.kind(), list(node.inputs())
    if kind == "prim::Constant":
        return int(value.toIValue())
    if kind == "aten::dim":
        return MAX_DIMENSIONS
    if kind == "aten::len":
        return _longest(inputs[0], aliases)
    if kind == "aten::sub" and (less := _constant(inputs[1])) is not None and less >= 0:
        return _most(inputs[0], aliases)
    return None


def _longest(value: Any, aliases: Any) -> int | None:
    """Return an upper bound of a list's length; None if it depends on the rows."""
    node = value.node()
    kind, inputs = node.kind(), list(node.inputs())
    if aliases.has_writers(value):
        return None
    if kind == "aten::size":
        return MAX_DIMENSIONS
    if kind == "prim::ListConstruct":
        return len(inputs)
    if kind in ("aten::slice", "aten::list"):
        return _longest(inputs[0], aliases)
    if kind == "aten::add":
        both = [_longest(part, aliases) for part in inputs]
        return None if None in both else sum(part or 0 for part in both)
    return None


def _constant(value: Any) -> Any:
    """Return a value if it is a constant of the program, else None."""
    return value.toIValue() if value.node().kind() == "prim::Constant" else None
