"""Choose the device that models run on, and set up torch for it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import torch

from app.errors import ConfigurationError

logger = logging.getLogger(__name__)


def choose_device(wanted: str) -> str:
    """Return the device to run on: the requested one, or for `auto` the best of cuda, mps and cpu.

    Raises:
        ConfigurationError: if the requested device is not available.
    """
    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if torch.cuda.is_available():
        available[:0] = ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if wanted == "auto":
        return available[0]
    if wanted not in available:
        raise ConfigurationError(
            f"TABSERVE_DEVICE={wanted} is not available here; choose auto or {', '.join(available)}"
        )
    return wanted


def describe_device(device: str) -> str:
    """Return the device with the name of its hardware, for people to read."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.startswith("cuda") else device


def prepare(device: str) -> None:
    """Set torch up for this process and log the device on which models run."""
    use_one_thread()
    use_full_float32()
    logger.info("models run on %s", describe_device(device))


def use_one_thread() -> None:
    """Limit torch to one thread in this process: with small models, more threads only wait for each other."""
    torch.set_num_threads(1)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch to one thread for a while, in a process that is not the service's alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def use_full_float32() -> None:
    """Disable TF32, whose mantissa has 10 bits: answers of a GPU may differ from the CPU's by rounding only."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def device_is_lost(error: RuntimeError) -> bool:
    """Tell whether an error of torch means that its device is unusable for the rest of this process.

    Every CUDA error does, except lack of memory ("CUDA out of memory"). TorchScript repeats the text of CUDA errors in
    its own.
    """
    return isinstance(error, torch.AcceleratorError) or "CUDA error" in str(error)
