"""Archives that a store must refuse, made by torch from hostile programs or by hand."""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tests.fakes import MeanModel, script

GOOD = script(MeanModel(classes=2, shift=0.0))


def saved(module: nn.Module, **extra: bytes) -> bytes:
    """Return the module as `torch.jit.save` writes it."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated upstream, see docs/decisions.md
        torch.jit.save(torch.jit.script(module.eval()), stream, _extra_files=dict(extra))
    return stream.getvalue()


def rebuilt(change: Callable[[str, bytes], bytes | None], add: dict[str, bytes] | None = None) -> bytes:
    """Return a good archive with members changed, left out (None) or added."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(GOOD)) as old, zipfile.ZipFile(stream, "w") as new:
        for info in old.infolist():
            content = change(info.filename, old.read(info))
            if content is not None:
                new.writestr(info, content, info.compress_type)
        for name, content in (add or {}).items():
            new.writestr(f"archive/{name}", content)
    return stream.getvalue()


def with_code(line: str) -> bytes:
    """Return a good archive whose `forward` begins with this line."""

    def change(name: str, content: bytes) -> bytes:
        head, colon, body = content.partition(b") -> Tensor:\n")
        return head + colon + f"    {line}\n".encode() + body if colon and name.endswith(".py") else content

    return rebuilt(change)


def with_pickle(name: str, content: bytes) -> bytes:
    """Return a good archive with another pickle."""
    return rebuilt(lambda member, old: content if member.endswith(f"/{name}") else old)


class WritesAFile(nn.Module):
    """Maps a file of its choice when it answers."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.from_file("canary", True, 3).fill_(1.0)


class WritesWhileItIsLoaded(nn.Module):
    """Maps a file of its choice when it is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.training = False

    @torch.jit.export
    def __getstate__(self) -> tuple[int, bool]:
        return 1, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[int, bool]) -> None:
        torch.from_file("canary", True, 10).fill_(1.0)
        self.training = state[1]

    def forward(self, x: Tensor) -> Tensor:
        return x


class Prints(nn.Module):
    """Talks to the log."""

    def forward(self, x: Tensor) -> Tensor:
        print(x)  # noqa: T201 - the very thing
        return x


fork: Any = torch.jit.fork  # untyped upstream
wait: Any = torch.jit.wait


class Forks(nn.Module):
    """Starts tasks of its own."""

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = wait(fork(torch.relu, x))
        return answer


class Draws(nn.Module):
    """Answers differently every time."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand(3)


HOSTILE_PICKLE = b"cos\nmkdir\n(Vcanary\ntR."
STACK_PICKLE = pickle.dumps(Path, protocol=4)


def code_bomb() -> bytes:
    """Return a program of a few kB whose last type has 2^40 parts."""
    return with_code("\n".join(["a0 = (x, x)", *(f"    a{n} = (a{n - 1}, a{n - 1})" for n in range(1, 40))]))
