"""Scan a TorchScript archive before torch loads it, and admit only arithmetic.

A TorchScript file is a program. Everything that is not on an allow-list is refused. The list holds functions of torch
that compute tensors from tensors, and the archive's own classes; none gives access to a file, a process or a network.
This module must not import torch.
"""

from __future__ import annotations

import ast
import pickletools
import re
from collections import Counter
from pathlib import Path
from typing import NoReturn

from app.runtime.verify.zip_archive import Forbidden, members

MAX_NESTING = 60
MAX_OPCODES = 200_000  # per pickle; a network of twenty layers has five thousand in total

_GLOBAL = re.compile(
    r"__torch__(\.\w+)* \w+"
    r"|collections OrderedDict"
    r"|torch\._utils _rebuild_(tensor_v2|parameter)"
    r"|torch (Float|Double|Half|BFloat16|Long|Int|Short|Char|Byte|Bool)Storage"
    r"|torch\.jit\._pickle (build_(int|tensor|double|bool)list|restore_type_tag)"
)
_NO_GLOBALS = ("STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4", "NEWOBJ_EX", "NEXT_BUFFER", "BYTEARRAY8")

_LINES = Path(__file__).with_name("admitted_functions.txt").read_text("ascii").splitlines()
_ADMITTED = frozenset(word for line in _LINES if not line.startswith("#") for word in line.split())
_FUNCTIONS = (
    {f"torch.{name}" for name in _ADMITTED}
    | {"ops.prim.NumToTensor", "ops.prim.RaiseException", "ops.prim.data", "ops.prim.device", "ops.prim.dtype"}
    | {"ops.prim.is_cuda"}
)
_WHAT_THEN = "nothing random, no files; app/runtime/verify/admitted_functions.txt has what may be used"
_BUILT_IN = frozenset(
    ("annotate", "bool", "float", "getattr", "int", "isinstance", "len", "max", "min", "range", "str", "tuple")
) | {"unchecked_cast", "uninitialized"}
_METHODS = _ADMITTED | {"forward"}
# Names that must not stand alone, whether the file binds them or not.
_ENVIRONMENT = ("torch", "ops", "fork", "awaitable", "print", "__torch__")
_ROOTS = ("torch", "ops", "__torch__")
_RUN_BY_LOADING = ("__setstate__", "__getstate__", "__reduce__", "__del__")
_GRAMMAR = (
    ast.Module, ast.ClassDef, ast.FunctionDef, ast.arguments, ast.arg, ast.Assign, ast.AnnAssign, ast.AugAssign,
    ast.Return, ast.If, ast.For, ast.While, ast.Expr, ast.Raise, ast.Assert, ast.Pass, ast.Break, ast.Continue,
    ast.Name, ast.Attribute, ast.Subscript, ast.Slice, ast.Call, ast.keyword, ast.Constant, ast.Tuple, ast.List,
    ast.Dict, ast.UnaryOp, ast.BinOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.ListComp, ast.comprehension,
    ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop,
)  # fmt: skip


def inspect(model: bytes) -> None:
    """Check every member of the archive: the very bytes that are loaded afterwards.

    Raises:
        Forbidden: if the archive holds anything that a classifier does not need.
    """
    code = 0
    for name, content in members(model):
        if name.endswith((".pkl", ".debug_pkl")):
            _check_pickle(name, content)
        elif not content.isascii():
            raise Forbidden("code_forbidden", f"{name} is not plain ASCII")
        else:
            _check_code(name, content.decode())
            code += 1
    if not code:
        raise Forbidden("code_missing", "there is no code in it; save the model with torch.jit.save")


def _check_pickle(name: str, content: bytes) -> None:
    """Refuse a pickle that refers to anything but the archive's classes and tensors."""
    reason = "constants_forbidden" if name == "constants.pkl" else "pickle_forbidden"
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):
            if count > MAX_OPCODES or opcode.name in _NO_GLOBALS:
                raise Forbidden(reason, f"{name} uses {opcode.name}, which no saved module does")
            if opcode.name == "GLOBAL" and not _GLOBAL.fullmatch(str(argument)):
                raise Forbidden(reason, f"{name} names {str(argument)!r:.80}")
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise Forbidden(reason, f"{name} is no pickle") from error


def _check_code(name: str, text: str) -> None:
    """Refuse source text that does anything but compute."""
    _Reader(name).visit(_parse(name, text))


def _functions(definition: ast.FunctionDef) -> frozenset[str]:
    """Return the names that stand for functions by path alone, such as `_0 = __torch__.torch.nn.functional.relu`.

    Any other value may be a method: after `f = x.bernoulli`, `f()` would call a function that is not on the list.
    """
    nodes = list(ast.walk(definition))
    stored = Counter(node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    named = Counter(
        target.id
        for node in nodes
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Attribute) and _root(node.value) in _ROOTS
        for target in node.targets
        if isinstance(target, ast.Name)
    )
    return frozenset(name for name, times in named.items() if times == stored[name])


def _parse(name: str, text: str) -> ast.Module:
    """Parse serialised TorchScript, whose grammar is a subset of Python's."""
    depth = deepest = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    if deepest > MAX_NESTING:
        raise Forbidden("code_forbidden", f"{name} nests deeper than {MAX_NESTING} brackets")
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Forbidden("code_forbidden", f"{name} is not the text of TorchScript") from error


class _Reader(ast.NodeVisitor):
    """Check one file of the archive and raise Forbidden at the first violation."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._bound: frozenset[str] = frozenset()  # see `_functions`

    def visit(self, node: ast.AST) -> None:
        """Refuse syntax that TorchScript does not write."""
        if not isinstance(node, _GRAMMAR):
            self._refuse(f"has {type(node).__name__}, which TorchScript does not write")
        super().visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Refuse functions that run while the archive is loaded."""
        if node.name in _RUN_BY_LOADING or node.decorator_list:
            self._refuse(f"defines {node.name}, which would run while it is loaded", "code_runs_at_load")
        self._bound = _functions(node)
        self.generic_visit(node)
        self._bound = frozenset()

    def visit_While(self, _node: ast.While) -> None:
        """Refuse loops that may never end."""
        self._refuse(
            "has a loop that may never end: a `while`, or a `for` with `break`, `continue` or `return` in it; use"
            " functions of whole tensors, or `for i in range(3)` with a number",
            "loop_forbidden",
        )

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Refuse functions of torch that are not listed, whether the code calls them or assigns them to a name."""
        path = _path(node)
        root = _root(node)
        if isinstance(node.ctx, ast.Store):
            self._refuse(f"sets {path!r:.80}: what serves must not change", "state_forbidden")
        if root == "__torch__":
            return  # the archive's own, checked in its own file
        if root not in ("torch", "ops"):
            self.generic_visit(node)
        elif path not in _FUNCTIONS:
            reason = "operator_forbidden" if root == "ops" else "function_forbidden"
            self._refuse(f"uses {path!r:.80}, which no classifier needs: {_WHAT_THEN}", reason)

    def visit_Name(self, node: ast.Name) -> None:
        """Refuse a bare reference to torch or the other reserved names, and an assignment to self."""
        if node.id in _ENVIRONMENT or (node.id == "self" and isinstance(node.ctx, ast.Store)):
            self._refuse(f"uses the name {node.id!r} by itself")

    def visit_arg(self, node: ast.arg) -> None:
        """Refuse a self that is not a module: methods of strings and tensors may be any function of torch."""
        if node.arg == "self" and not (
            isinstance(node.annotation, ast.Attribute) and _path(node.annotation).startswith("__torch__.")
        ):
            self._refuse("has a self that is no class of the archive")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """Refuse calls of unknown functions: a method of a tensor or string may be any function of torch."""
        function = node.func
        if isinstance(function, ast.Name):
            if function.id not in _BUILT_IN and function.id not in self._bound:
                self._refuse(f"calls {function.id!r:.80}")
        elif not isinstance(function, ast.Attribute):
            self._refuse("calls the result of an expression")
        elif not (
            _root(function) in _ROOTS  # see visit_Attribute
            or (isinstance(function.value, ast.Name) and function.value.id == "self")
            or function.attr in _METHODS
        ):
            self._refuse(f"calls a method {function.attr!r:.80}; call it forward")
        self.generic_visit(node)

    def _refuse(self, what: str, reason: str = "code_forbidden") -> NoReturn:
        raise Forbidden(reason, f"{self._file} {what}")


def _path(node: ast.Attribute) -> str:
    """Return the dotted path of an expression, such as `torch.nn.linear`; empty if it is not a chain of names."""
    parts = [node.attr]
    inner = node.value
    while isinstance(inner, ast.Attribute):
        parts.append(inner.attr)
        inner = inner.value
    return ".".join((inner.id, *reversed(parts))) if isinstance(inner, ast.Name) else ""


def _root(node: ast.Attribute) -> str:
    """Return the first name of a dotted path; empty if it is not a chain of names."""
    return _path(node).partition(".")[0]
