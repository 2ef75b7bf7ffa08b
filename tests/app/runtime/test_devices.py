"""The device is the best that is there, or the one that was asked for."""

from __future__ import annotations

import pytest
import torch

from app.errors import ConfigurationError
from app.runtime.devices import choose_device, describe_device, device_is_lost, one_thread


def test_best_device_is_chosen() -> None:
    best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"

    assert choose_device("auto") == best
    assert choose_device("cpu") == "cpu"
    assert describe_device("cpu") == "cpu"


@pytest.mark.parametrize("device", ["cuda:99", "mps:1", "tpu"])
def test_device_that_is_not_there_is_named_with_those_that_are(device: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        choose_device(device)

    assert str(refused.value).startswith(f"TABSERVE_DEVICE={device} is not available here; choose auto or ")
    assert str(refused.value).endswith("cpu")


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("CUDA error: an illegal memory access was encountered", True),
        ("CUDA out of memory. Tried to allocate 2 MiB", False),
        ("mat1 and mat2 shapes cannot be multiplied", False),
    ],
)
def test_device_is_lost_after_any_error_of_cuda_but_lack_of_memory(text: str, lost: bool) -> None:
    assert device_is_lost(RuntimeError(text)) == lost


def test_torch_has_its_threads_again_afterwards() -> None:
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
