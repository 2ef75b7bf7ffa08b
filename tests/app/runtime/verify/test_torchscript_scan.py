"""What no classifier needs is refused before torch reads it.

Hostile archives are made by torch itself, or by hand.
"""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from app.runtime.verify.torchscript_scan import inspect
from app.runtime.verify.zip_archive import Forbidden
from tests.app.hostile import (
    GOOD,
    HOSTILE_PICKLE,
    STACK_PICKLE,
    Draws,
    Forks,
    Prints,
    WritesAFile,
    WritesWhileItIsLoaded,
    rebuilt,
    saved,
    with_code,
    with_pickle,
)
from tests.fakes import MeanModel


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


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "writes a file in forward": (lambda: saved(WritesAFile()), "function_forbidden"),
    "writes a file while it is loaded": (lambda: saved(WritesWhileItIsLoaded()), "code_runs_at_load"),
    "prints": (lambda: saved(Prints()), "code_forbidden"),
    "forks": (lambda: saved(Forks()), "code_forbidden"),
    "draws random numbers": (lambda: saved(Draws()), "function_forbidden"),
    "gives a function a name": (lambda: with_code("f = torch.from_file"), "function_forbidden"),
    "gives torch a name": (lambda: with_code("t = torch"), "code_forbidden"),
    "looks a function up by name": (lambda: with_code('getattr(torch, "from_file")'), "code_forbidden"),
    "calls it as a method": (lambda: with_code('("canary").from_file(True, 10)'), "code_forbidden"),
    "calls it as a method of a tensor": (lambda: with_code("(x).share_memory_()"), "code_forbidden"),
    "gives a method a name": (lambda: with_code("f = x.bernoulli; x = f()"), "code_forbidden"),
    "gives a method a name of a function": (
        lambda: with_code("f = torch.relu; f = x.bernoulli; x = f()"),
        "code_forbidden",
    ),
    "looks a method up by name": (lambda: with_code('f = getattr(x, "bernoulli"); x = f()'), "code_forbidden"),
    "unpacks a method": (lambda: with_code("f, y = x.bernoulli, x; x = f()"), "code_forbidden"),
    "calls an operator of another library": (lambda: with_code("ops.image.read_file(x)"), "operator_forbidden"),
    "calls an unknown name": (lambda: with_code("fork(x)"), "code_forbidden"),
    "binds a forbidden name": (lambda: with_code("fork = 1"), "code_forbidden"),
    "keeps a state": (lambda: with_code("self.training = True"), "state_forbidden"),
    "imports": (lambda: with_code("import os"), "code_forbidden"),
    "lambda": (lambda: with_code("f = lambda: 1"), "code_forbidden"),
    "calls what a call returns": (lambda: with_code("(int(1))(2)"), "code_forbidden"),
    "nests deep": (lambda: with_code("a = " + "(" * 5000 + "1" + ")" * 5000), "code_forbidden"),
    "no grammar": (lambda: with_code("a = = 1"), "code_forbidden"),
    "no ASCII": (lambda: with_code("\uff41 = 1"), "code_forbidden"),
    "code bomb": (lambda: with_code("a = 1\n" * 1_000_000), "code_too_large"),
    "pickle calls a function": (lambda: with_pickle("data.pkl", HOSTILE_PICKLE), "pickle_forbidden"),
    "constants call a function": (lambda: with_pickle("constants.pkl", HOSTILE_PICKLE), "constants_forbidden"),
    "pickle of a newer protocol": (lambda: with_pickle("data.pkl", STACK_PICKLE), "pickle_forbidden"),
    "pickle that is none": (lambda: with_pickle("data.pkl", b"\xff" * 9), "pickle_forbidden"),
    "extra file": (lambda: saved(MeanModel(2, 0.0), **{"run.sh": b"rm"}), "member_forbidden"),
    "member elsewhere": (lambda: rebuilt(lambda _, old: old, {"../canary": b""}), "member_forbidden"),
    "member of another folder": (lambda: rebuilt(lambda _, old: old, {"code/x.py": b""}), "member_forbidden"),
    "no code": (lambda: rebuilt(lambda name, old: None if "/code/" in name else old), "code_missing"),
    "empty file": (lambda: b"", "archive_invalid"),
    "bare pickle": (lambda: pickle.dumps({"a": 1}), "format_pickle"),
    "something before the archive": (lambda: b"#!/bin/sh\n" + GOOD, "archive_invalid"),
    "something behind the archive": (lambda: GOOD + b"\0" * 30, "archive_invalid"),
    "cut off": (lambda: GOOD[:-100], "archive_invalid"),
    "flatbuffer": (lambda: b"\x18\0\0\0PTMF" + b"\0" * 64, "format_flatbuffer"),
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


@pytest.mark.slow
def test_any_damage_is_refused_or_harmless_but_never_an_error() -> None:
    archive = GOOD
    for place in range(0, len(archive), 7):
        damaged = bytearray(archive)
        damaged[place] ^= 0x20
        with contextlib.suppress(Forbidden):
            inspect(bytes(damaged))
