"""Looks into a TorchScript archive before torch does: nothing but arithmetic gets through; it must not know torch.

A TorchScript file is a program. What it may do is listed, and whatever is not listed is refused: functions of torch
that compute tensors from tensors, and the archive's own classes; no way to a file, a process or a network.
"""

from __future__ import annotations

import ast
import io
import pickletools
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

MAX_MEMBERS = 4096
MAX_CODE_BYTES = 4 << 20
MAX_NESTING = 60
MAX_OPCODES = 1_000_000

# What the archives of torch 2.x hold, below one folder.
_READ = re.compile(r"(data|constants)\.pkl|code/__torch__(/\w{1,100}){1,20}\.py(\.debug_pkl)?", re.ASCII)
_STORED = re.compile(
    r"(data|constants)/[0-9]{1,6}|version|byteorder|\.format_version|\.storage_alignment|\.data/(serialization_id|version)"
)
_GLOBAL = re.compile(
    r"__torch__(\.\w+)+ \w+"
    r"|collections OrderedDict"
    r"|torch\._utils _rebuild_(tensor_v2|parameter)"
    r"|torch (Float|Double|Half|BFloat16|Long|Int|Short|Char|Byte|Bool)Storage"
    r"|torch\.jit\._pickle (build_(int|tensor|double|bool)list|restore_type_tag)"
)
_END_BYTES = 22
_NO_GLOBALS = ("STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4", "NEWOBJ_EX", "NEXT_BUFFER", "BYTEARRAY8")

_LINES = Path(__file__).with_name("admitted_functions.txt").read_text("ascii").splitlines()
_ADMITTED = frozenset(word for line in _LINES if not line.startswith("#") for word in line.split())
_FUNCTIONS = (
    {f"torch.{name}" for name in _ADMITTED}
    | {"ops.prim.NumToTensor", "ops.prim.RaiseException", "ops.prim.data", "ops.prim.device", "ops.prim.dtype"}
    | {"ops.prim.is_cuda"}
)
_BUILT_IN = frozenset(
    ("annotate", "bool", "float", "getattr", "int", "isinstance", "len", "max", "min", "range", "str", "tuple")
) | {"unchecked_cast", "uninitialized"}
_METHODS = _ADMITTED | {"forward"}
# What a plain name must not be, bound or not.
_ENVIRONMENT = ("torch", "ops", "fork", "awaitable", "print", "__torch__")
_RUN_BY_LOADING = ("__setstate__", "__getstate__", "__reduce__", "__del__")
_GRAMMAR = (
    ast.Module, ast.ClassDef, ast.FunctionDef, ast.arguments, ast.arg, ast.Assign, ast.AnnAssign, ast.AugAssign,
    ast.Return, ast.If, ast.For, ast.While, ast.Expr, ast.Raise, ast.Assert, ast.Pass, ast.Break, ast.Continue,
    ast.Name, ast.Attribute, ast.Subscript, ast.Slice, ast.Call, ast.keyword, ast.Constant, ast.Tuple, ast.List,
    ast.Dict, ast.UnaryOp, ast.BinOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.ListComp, ast.comprehension,
    ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop,
)  # fmt: skip


class Forbidden(Exception):
    """An archive that may not be loaded.

    Attributes:
        reason: stable code: `archive_invalid`, `code_forbidden` or `pickle_forbidden`.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def inspect(model: bytes) -> None:
    """Look at every member of the archive.

    Args:
        model: the very bytes that are loaded afterwards.

    Raises:
        Forbidden: if there is anything in it that no classifier needs.
    """
    code = 0
    for name, content in _members(model):
        if name.endswith((".pkl", ".debug_pkl")):
            _check_pickle(name, content)
        elif not content.isascii():
            raise Forbidden("code_forbidden", f"{name} is not plain ASCII")
        else:
            _check_code(name, content.decode())
            code += 1
    if not code:
        raise Forbidden("archive_invalid", "there is no code in it; save the model with torch.jit.save")


def _members(model: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the members whose content matters; their sizes are bounded before anything inflates."""
    try:
        with zipfile.ZipFile(io.BytesIO(model)) as archive:
            left = MAX_CODE_BYTES
            for info, name in _listed(archive, model):
                if _STORED.fullmatch(name):
                    if info.compress_type != zipfile.ZIP_STORED:
                        raise Forbidden("archive_invalid", f"{name} is compressed; tensors are stored as they are")
                    continue
                left -= info.file_size
                if left < 0:
                    raise Forbidden("archive_invalid", f"code and pickles have more than {MAX_CODE_BYTES} bytes")
                with archive.open(info) as stream:
                    content = stream.read(info.file_size + 1)
                if len(content) != info.file_size:
                    raise Forbidden("archive_invalid", f"{name} is not as large as it says")
                yield name, content
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        NotImplementedError,
        RuntimeError,
        ValueError,
        EOFError,
        OSError,
        zlib.error,
    ) as error:
        raise Forbidden("archive_invalid", "it is no zip archive that can be read") from error


def _listed(archive: zipfile.ZipFile, model: bytes) -> Iterator[tuple[zipfile.ZipInfo, str]]:
    """Yield the members with their names below the archive's one folder."""
    infos = archive.infolist()
    ends_with_it = model[-_END_BYTES:].startswith(b"PK\x05\x06")  # the end of the directory, and no comment behind it
    if not (ends_with_it and infos and min(info.header_offset for info in infos) == 0):
        raise Forbidden("archive_invalid", "there is something before, behind or instead of the archive")
    if len(infos) > MAX_MEMBERS or sum(info.compress_size for info in infos) > len(model):
        raise Forbidden("archive_invalid", f"expected at most {MAX_MEMBERS} members that do not overlap")
    if len({info.filename for info in infos}) != len(infos):
        raise Forbidden("archive_invalid", "two members have the same name")
    folder = infos[0].filename.partition("/")[0]
    for info in infos:
        top, _, name = info.filename.partition("/")
        if top != folder or not (_READ.fullmatch(name) or _STORED.fullmatch(name)):
            raise Forbidden("archive_invalid", f"no classifier needs a member {info.filename!r:.80}")
        yield info, name


def _check_pickle(name: str, content: bytes) -> None:
    """Refuse a pickle that names anything but the archive's classes and tensors."""
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):
            if count > MAX_OPCODES or opcode.name in _NO_GLOBALS:
                raise Forbidden("pickle_forbidden", f"{name} uses {opcode.name}, which no saved module does")
            if opcode.name == "GLOBAL" and not _GLOBAL.fullmatch(str(argument)):
                raise Forbidden("pickle_forbidden", f"{name} names {str(argument)!r:.80}")
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise Forbidden("pickle_forbidden", f"{name} is no pickle") from error


def _check_code(name: str, text: str) -> None:
    """Refuse the text of a class or function that does anything but compute."""
    tree = _parsed(name, text)
    _Reader(name, {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and _is_bound(node)}).visit(tree)


def _is_bound(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store) and name.id not in _ENVIRONMENT


def _parsed(name: str, text: str) -> ast.Module:
    """Parse the text of serialised TorchScript, whose grammar is a part of Python's."""
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
    """Reads one file of the archive and stops at the first thing that is not allowed."""

    def __init__(self, file: str, bound: set[str]) -> None:
        self._file = file
        self._bound = bound  # names that the file gives a value, such as `_0 = __torch__.torch.nn.functional.relu`

    def visit(self, node: ast.AST) -> None:
        """Refuse what TorchScript does not write."""
        if not isinstance(node, _GRAMMAR):
            self._refuse(f"has {type(node).__name__}, which TorchScript does not write")
        super().visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Refuse functions that run while the archive is loaded."""
        if node.name in _RUN_BY_LOADING or node.decorator_list:
            self._refuse(f"defines {node.name}, which would run while it is loaded")
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Refuse functions of torch that are not listed, whether they are called here or given a name."""
        path = _path(node)
        root = path.partition(".")[0]
        if root == "__torch__":
            return  # the archive's own, looked at in its file
        if root not in ("torch", "ops"):
            self.generic_visit(node)
        elif path not in _FUNCTIONS:
            self._refuse(f"uses {path!r:.80}, which no classifier needs")

    def visit_Name(self, node: ast.Name) -> None:
        """Refuse to hand the whole of torch to something else, and to call something else self."""
        if node.id in _ENVIRONMENT or (node.id == "self" and isinstance(node.ctx, ast.Store)):
            self._refuse(f"uses the name {node.id!r} by itself")

    def visit_arg(self, node: ast.arg) -> None:
        """Refuse a self that is no module: methods of texts and tensors may be any function of torch."""
        if node.arg == "self" and not (
            isinstance(node.annotation, ast.Attribute) and _path(node.annotation).startswith("__torch__.")
        ):
            self._refuse("has a self that is no class of the archive")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """Refuse calls of what is not known: a method of a tensor or a text may be any function of torch."""
        function = node.func
        if isinstance(function, ast.Name):
            if function.id not in _BUILT_IN and function.id not in self._bound:
                self._refuse(f"calls {function.id!r:.80}")
        elif not isinstance(function, ast.Attribute):
            self._refuse("calls the result of an expression")
        elif not (
            _path(function).partition(".")[0] in ("torch", "ops", "__torch__")  # see visit_Attribute
            or (isinstance(function.value, ast.Name) and function.value.id == "self")
            or function.attr in _METHODS
        ):
            self._refuse(f"calls a method {function.attr!r:.80}; call it forward")
        self.generic_visit(node)

    def _refuse(self, what: str) -> NoReturn:
        raise Forbidden("code_forbidden", f"{self._file} {what}")


def _path(node: ast.Attribute) -> str:
    """Return `torch.nn.linear` for such an expression; empty for what is no chain of names."""
    parts = [node.attr]
    inner = node.value
    while isinstance(inner, ast.Attribute):
        parts.append(inner.attr)
        inner = inner.value
    return ".".join((inner.id, *reversed(parts))) if isinstance(inner, ast.Name) else ""
