"""What no classifier needs is refused before torch sees it; hostile archives are made by torch itself, or by hand."""

from __future__ import annotations

import contextlib
import io
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from app.admission import Forbidden, inspect
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
    return rebuilt(lambda member, old: content if member.endswith(f"/{name}") else old)


class Everything(nn.Module):
    """Uses what classifiers use: convolution has no place here, all the rest of a tabular network does."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(3, 8), nn.BatchNorm1d(8), nn.LeakyReLU(), nn.Dropout(0.1), nn.LayerNorm(8), nn.GELU(),
            nn.Linear(8, 8), nn.ELU(), nn.SELU(), nn.SiLU(), nn.Tanh(), nn.Hardtanh(), nn.Softplus(), nn.Linear(8, 2),
        )  # fmt: skip
        self.steps = nn.ModuleList([nn.Linear(3, 3) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = torch.relu(step(x)) + x
        high = torch.where(x > 0, x, torch.clamp(x, min=-1.0)).mean(dim=1, keepdim=True)
        logits = self.layers(x) * torch.exp(-high.abs())
        return torch.cat([torch.sigmoid(logits[:, :1]), 1 - torch.sigmoid(logits[:, :1])], dim=1)


@pytest.mark.parametrize("module", [MeanModel(2, 0.0), Everything()], ids=["MeanModel", "Everything"])
def test_archive_of_a_classifier_is_admitted(module: nn.Module) -> None:
    inspect(saved(module))


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

HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "writes a file in forward": (lambda: saved(WritesAFile()), "code_forbidden"),
    "writes a file while it is loaded": (lambda: saved(WritesWhileItIsLoaded()), "code_forbidden"),
    "prints": (lambda: saved(Prints()), "code_forbidden"),
    "forks": (lambda: saved(Forks()), "code_forbidden"),
    "draws random numbers": (lambda: saved(Draws()), "code_forbidden"),
    "gives a function a name": (lambda: with_code("f = torch.from_file"), "code_forbidden"),
    "gives torch a name": (lambda: with_code("t = torch"), "code_forbidden"),
    "looks a function up by name": (lambda: with_code('getattr(torch, "from_file")'), "code_forbidden"),
    "calls it as a method": (lambda: with_code('("canary").from_file(True, 10)'), "code_forbidden"),
    "calls it as a method of a tensor": (lambda: with_code("(x).share_memory_()"), "code_forbidden"),
    "calls an operator of another library": (lambda: with_code("ops.image.read_file(x)"), "code_forbidden"),
    "calls an unknown name": (lambda: with_code("fork(x)"), "code_forbidden"),
    "binds a forbidden name": (lambda: with_code("fork = 1"), "code_forbidden"),
    "imports": (lambda: with_code("import os"), "code_forbidden"),
    "lambda": (lambda: with_code("f = lambda: 1"), "code_forbidden"),
    "calls what a call returns": (lambda: with_code("(int(1))(2)"), "code_forbidden"),
    "nests deep": (lambda: with_code("a = " + "(" * 5000 + "1" + ")" * 5000), "code_forbidden"),
    "no grammar": (lambda: with_code("a = = 1"), "code_forbidden"),
    "no ASCII": (lambda: with_code("\uff41 = 1"), "code_forbidden"),
    "code bomb": (lambda: with_code("a = 1\n" * 1_000_000), "archive_invalid"),
    "pickle calls a function": (lambda: with_pickle("data.pkl", HOSTILE_PICKLE), "pickle_forbidden"),
    "constants call a function": (lambda: with_pickle("constants.pkl", HOSTILE_PICKLE), "pickle_forbidden"),
    "pickle of a newer protocol": (lambda: with_pickle("data.pkl", STACK_PICKLE), "pickle_forbidden"),
    "pickle that is none": (lambda: with_pickle("data.pkl", b"\xff" * 9), "pickle_forbidden"),
    "extra file": (lambda: saved(MeanModel(2, 0.0), **{"run.sh": b"rm"}), "archive_invalid"),
    "member elsewhere": (lambda: rebuilt(lambda _, old: old, {"../canary": b""}), "archive_invalid"),
    "member of another folder": (lambda: rebuilt(lambda _, old: old, {"code/x.py": b""}), "archive_invalid"),
    "no code": (lambda: rebuilt(lambda name, old: None if "/code/" in name else old), "archive_invalid"),
    "empty file": (lambda: b"", "archive_invalid"),
    "bare pickle": (lambda: pickle.dumps({"a": 1}), "archive_invalid"),
    "something before the archive": (lambda: b"#!/bin/sh\n" + GOOD, "archive_invalid"),
    "something behind the archive": (lambda: GOOD + b"\0" * 30, "archive_invalid"),
    "cut off": (lambda: GOOD[:-100], "archive_invalid"),
    "flatbuffer": (lambda: b"\x18\0\0\0PTMF" + b"\0" * 64, "archive_invalid"),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_hostile_archive_is_refused_unrun(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make, reason = HOSTILE[kind]
    archive = make()
    with pytest.raises(Forbidden) as caught:
        inspect(archive)
    assert caught.value.reason == reason
    assert not list(tmp_path.iterdir())


def test_two_members_of_one_name_are_refused() -> None:
    with pytest.warns(UserWarning, match="Duplicate"), pytest.raises(Forbidden, match="same name"):
        inspect(rebuilt(lambda _, old: old, {"version": b"3"}))


def test_compressed_tensors_are_refused() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(GOOD)) as old, zipfile.ZipFile(stream, "w") as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info), zipfile.ZIP_DEFLATED)
    with pytest.raises(Forbidden, match="compressed"):
        inspect(stream.getvalue())


def test_any_damage_is_refused_or_harmless_but_never_an_error() -> None:
    archive = GOOD
    for place in range(0, len(archive), 7):
        damaged = bytearray(archive)
        damaged[place] ^= 0x20
        with contextlib.suppress(Forbidden):
            inspect(bytes(damaged))
