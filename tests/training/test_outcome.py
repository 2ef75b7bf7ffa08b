from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from modelstore import JobResult, NotPermitted, PublishError, StoreError, from_line
from tests.training.samples import PROJECT
from training.errors import DatasetError, Diverged
from training.outcome import is_expected, reason_for, sentence


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DatasetError("a.csv", "empty"), "bad_data"),
        (Diverged("lost", 1.0), "diverged"),
        (NotPermitted("iris", "j1"), "interrupted"),
        (PublishError("iris", "no space", Path("models"), errno.ENOSPC), "disk_full"),
        (OSError(errno.EDQUOT, "quota"), "disk_full"),
        (PublishError("iris", "read-only", Path("models"), errno.EROFS), "failed"),
        (MemoryError(), "out_of_memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out_of_memory"),
        (RuntimeError("std::bad_alloc"), "out_of_memory"),
        (ValueError("Error tokenizing data. C error: out of memory"), "out_of_memory"),
        (ImportError("libtorch.so: failed to map segment: Cannot allocate memory"), "out_of_memory"),
        (RuntimeError("something else"), "failed"),
        (RecursionError("maximum recursion depth exceeded"), "failed"),
    ],
    ids=repr,
)
def test_every_error_has_a_reason(error: Exception, reason: str) -> None:
    assert reason_for(error) == reason


def test_what_torch_and_numpy_say_of_too_little_memory_is_understood() -> None:
    with pytest.raises(RuntimeError) as torchs:
        torch.empty(1 << 60)
    with pytest.raises(MemoryError) as numpys:
        np.empty(1 << 60, dtype=np.int8)

    assert [reason_for(caught.value) for caught in (torchs, numpys)] == ["out_of_memory"] * 2


@pytest.mark.parametrize(
    ("error", "known"),
    [
        (DatasetError("a.csv", "empty"), True),
        (StoreError("gone"), True),
        (MemoryError(), True),
        (FileNotFoundError("gone"), True),
        (ZeroDivisionError("ours"), False),
    ],
    ids=repr,
)
def test_only_an_error_of_ours_needs_a_traceback(error: Exception, *, known: bool) -> None:
    assert is_expected(error) is known


def test_a_sentence_is_one_line_and_names_the_class_of_a_foreign_error() -> None:
    assert sentence(ValueError("one\n  two")) == "ValueError: one two"
    assert sentence(DatasetError("a.csv", "empty")) == "a.csv: empty"


LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_DATA, (700 << 20, 700 << 20))
os.execv(sys.executable, [sys.executable, "-m", "training", *sys.argv[1:]])
"""


@pytest.mark.slow
def test_a_training_beyond_its_memory_limit_ends_as_out_of_memory(tmp_path: Path) -> None:
    arguments = ["fit", "iris", "--json-lines", "--set", "hidden=4096,4096,4096,4096", "--models-dir", str(tmp_path)]

    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *arguments], cwd=PROJECT, capture_output=True, text=True, check=False
    )

    result = from_line(done.stdout.splitlines()[-1])
    assert isinstance(result, JobResult)
    assert (done.returncode, result.reason, result.version) == (1, "out_of_memory", None)
