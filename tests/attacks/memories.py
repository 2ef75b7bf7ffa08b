"""Programs by which one request could harm another: with memory, with looks, or endless.

Each is a good classifier, the mean of two features, with some lines before it.
"""

from __future__ import annotations

import io
import textwrap
import warnings
from typing import Any

import torch
from torch import nn

from modelstore import GoldenRows, Manifest
from tests.fakes import MeanModel, manifest_for

MEAN = """
high = torch.clamp(x.mean(dim=1), 0.0, 1.0)
return torch.stack((1.0 - high, high), dim=1)
"""


class Keeper(nn.Module):
    """A module with every kind of attribute that can store state."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("last", torch.zeros(2))
        self.weight = nn.Parameter(torch.zeros(2))
        self.norm = nn.BatchNorm1d(2)
        self.history = [torch.zeros(2)]
        self.table = {"a": torch.zeros(2)}
        self.size = 3


def program(lines: str, answer: str = MEAN) -> bytes:
    """Return the archive of a module whose `forward` has these lines; `x` are the rows, `self` is a Keeper."""
    body = textwrap.indent(textwrap.dedent(lines).strip() + "\n" + answer.strip(), "    ")
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated upstream, see docs/decisions.md
        torch.jit.save(torch.jit.script(Keeper().eval()), stream)
        module: Any = torch.jit.load(io.BytesIO(stream.getvalue()))  # type: ignore[no-untyped-call] # its own type
        module.define(f"def forward(self, x: Tensor) -> Tensor:\n{body}\n")
        stream = io.BytesIO()
        torch.jit.save(module, stream)
    return stream.getvalue()


def as_trained(artifact: bytes) -> Manifest:
    """Return a manifest for a program whose golden rows are what it answers if they come together."""
    manifest = manifest_for(MeanModel(2, 0.0), artifact)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer: Any = torch.jit.load(io.BytesIO(artifact))  # type: ignore[no-untyped-call]
    answers = tuple(map(tuple, answer(torch.tensor(manifest.golden.features)).tolist()))
    return manifest.model_copy(update={"golden": GoldenRows(features=manifest.golden.features, outputs=answers)})


STATES = {
    "copy_ into a buffer": "self.last.copy_(x[0])",
    "an item of a buffer": "self.last[0] = x[0, 0]",
    "a buffer += 1": "self.last.add_(1.0)",
    "a view of a buffer": "self.last.view(2, 1)[0].add_(1.0)",
    "a part of a buffer": "torch.chunk(self.last, 2)[0].fill_(3.0)",
    "a buffer in a tuple": "(self.last, 1)[0].mul_(2.0)",
    "a buffer in a list": "items = [self.last]\nitems[0].add_(1.0)",
    "a buffer on one side of a condition": "kept = x if bool(x[0, 0] > 2.0) else self.last\nkept.add_(1.0)",
    "a buffer in a loop": (
        "kept = x[0].clone()\nother = kept\n"
        "for i in range(100):\n    kept.add_(x.sum())\n    kept, other = other, self.last\n"
        "x = x + 0.0 * self.last.sum()"
    ),
    "a buffer after a loop": (
        "kept = self.last\nfor i in range(100):\n    kept = kept * 1.0\nkept.add_(x[0])\nx = x + 0.0 * kept"
    ),
    "a buffer, perhaps": (
        "kept: Optional[Tensor] = None\nif bool(x[0, 0] > 2.0):\n    kept = self.last\n"
        "if kept is not None:\n    kept.add_(1.0)"
    ),
    "a buffer's contiguous self": "self.last.contiguous().add_(1.0)",
    "a buffer of its own type": "self.last.to(torch.float32).add_(1.0)",
    "a detached buffer": "self.last.detach().add_(1.0)",
    "a reshaped buffer": "self.last.reshape(2).add_(1.0)",
    "a buffer as out": "torch.add(x[0], 1.0, out=self.last)",
    "a buffer through relu_": "torch.relu_(self.last)",
    "a parameter": "self.weight.add_(1.0)",
    "a submodule's buffer": "self.norm.running_mean.add_(1.0)",
    "a list grows": "self.history.append(x)",
    "a list grows in front": "self.history.insert(0, x)",
    "a list grows by another": "self.history.extend([x])",
    "a list in a list grows": "lists = [self.history]\nlists[0].append(x)",
    "a list shrinks": "self.history.pop()",
    "a tensor in a list": "self.history[0].add_(1.0)",
    "a tensor in a table": 'self.table["a"].add_(1.0)',
    "a table's values": "for value in self.table.values():\n    value.add_(1.0)",
    "the rows themselves": "x.clamp_(0.0, 1.0)",
    "a column of the rows": "x[:, 0].add_(0.0)",
}
LOOPS = {
    "while": "i = 0\nwhile i < 1 or bool(x[0, 0] > 2.0):\n    i += 1",
    "for with break": "for i in range(9):\n    if bool(x[0, 0] > 2.0):\n        break",
    "as often as a row says": "for i in range(int(x[0, 0])):\n    x = x * 1.0",
    "as often as there are rows": "for i in range(x.size(0)):\n    x = x * 1.0",
    "over rows": "for row in torch.unbind(x):\n    x = x + 0.0 * row",
    "over a list that grew": (
        "items = [1]\nif bool(x[0, 0] > 2.0):\n    items.extend(items)\nfor i in range(len(items)):\n    x = x * 1.0"
    ),
    "too often": "for i in range(1000000000):\n    x = x * 1.0",
    "too often, one inside the other": "for i in range(1000):\n    for j in range(1000):\n        x = x * 1.0",
}
TRAINING = {
    "running statistics": "x = x + 0.0 * torch.batch_norm(x, None, None, self.last, self.last, True, 0.1, 1e-5, False)",
    "statistics of the rows": "x = x + 0.0 * torch.batch_norm(x, None, None, None, None, True, 0.1, 1e-5, False)",
    "dropout": "x = torch.dropout(x, 0.5, True)",
    "dropout in place": "y = x.clone()\ntorch.dropout_(y, 0.5, True)\nx = x + 0.0 * y",
    "alpha dropout": "x = torch.alpha_dropout(x, 0.5, True)",
    "dropout of features": "x = torch.feature_dropout(x, 0.5, True)",
    "dropout when a row says so": "x = torch.dropout(x, 0.5, bool(x[0, 0] > 2.0))",
}
COMPANY = {
    "less the mean of all rows": "x = x - x.mean(dim=0) + 0.5",
    "softmax over the rows": "x = torch.softmax(x, 0)",
    "the first row": "x = x[0].expand(x.size(0), 2)",
    "the number of rows": "x = x * (1.0 if x.size(0) < 512 else 0.99)",
    "the row before": "x = x - 0.01 * torch.cat((x[:1] * 0.0, x[:-1]))",
    "one row alone": "x = x * (1.0 if x.size(0) > 1 else 0.99)",
}
VALUES = {
    "a condition": "if bool(x[0, 0] > 2.0):\n    x = x * 0.5",
    "a condition that nobody wrote as such": "x = x * 0.5 if x[0, 0] > 2.0 else x",
    "a number": "x = x + 0.0 * float(x[0, 0])",
    "an item": "x = x + 0.0 * x[0, 0].item()",
    "a number in place of a tensor": "x = torch.clamp(x, max=float(x.max()))",
    "a text": 'if "{}".format(x[0, 0]) == "2":\n    x = x * 0.5',
    "the length of a text": "x = x + 0.0 * len(str(x[0]))",
    "a size": "x = x + 0.0 * torch.zeros([int(x[0, 0] * 0.0) + 2])",
    "a number of classes": "x = x + 0.0 * torch.nn.functional.one_hot(x.to(torch.int64) * 0).sum()",
    "a failure": 'if bool(x[0, 0] > 2.0):\n    raise RuntimeError("no")',
}
HARMLESS = {
    "tensors of its own": "y = torch.zeros(2)\ny[0] = 1.0\ny.mul_(x[0, 0])\nx = x + 0.0 * y",
    "lists of its own": "items = [x.clone()]\nitems.append(x + 1.0)\nx = items[0]",
    "a clone of the rows": "x = x.clone()\nx.clamp_(0.0, 1.0)",
    "a clone of a buffer": "y = self.last.clone()\ny.add_(x[0])\nx = x + 0.0 * y",
    "a layer in evaluation": "x = torch.batch_norm(x, None, None, self.last, self.last + 1.0, False, 0.1, 0.0, False)",
    "dropout in evaluation": "x = torch.dropout(x, 0.5, False)",
    "a loop of three": "for i in range(self.size):\n    x = torch.relu(x)",
    "a loop of a hundred": "for i in range(100):\n    x = torch.relu(x)",
    "a loop over dimensions": "y = 1\nfor i in range(x.dim() - 1):\n    y *= x.size(i + 1)\nx = x * (y / 2)",
    "a choice for each row": "x = torch.where(x > 2.0, x * 0.5, x)",
    "a number of its own": "x = x * float(self.last[0] + 1.0)",
    "classes that are counted": "x = x + 0.0 * torch.nn.functional.one_hot(x.to(torch.int64).clamp(0, 3), 4)[:, :, 0]",
    "a loop over its list": "for kept in self.history:\n    x = x + kept",
}
