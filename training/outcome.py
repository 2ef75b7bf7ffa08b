"""Map an exception to the machine-readable reason and the sentence of a training's end.

It must not import torch.
"""

from __future__ import annotations

import errno

from modelstore import NotPermitted, PublishError, Reason, StoreError
from training.errors import TrainingError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
# messages of torch, C++, pandas and the dynamic linker, none of which has an exception class for this
OUT_OF_MEMORY = ("allocate memory", "std::bad_alloc", "out of memory")


def reason_for(error: Exception) -> Reason:
    """Return the machine-readable reason of a job that failed with this error."""
    if isinstance(error, TrainingError):
        return error.reason
    if isinstance(error, NotPermitted):
        return "interrupted"
    if isinstance(error, (PublishError, OSError)) and error.errno in DISK_FULL:
        return "disk_full"
    if isinstance(error, MemoryError) or any(said in str(error).lower() for said in OUT_OF_MEMORY):
        return "out_of_memory"
    return "failed"


def is_expected(error: Exception) -> bool:
    """Return whether an error is an expected one, fully described by its reason and sentence."""
    return reason_for(error) != "failed" or isinstance(error, (TrainingError, StoreError, OSError))


def sentence(error: Exception) -> str:
    """Return the text of an error on one line, preceded by its class unless it is one of our own."""
    text = " ".join(str(error).split())
    return text if isinstance(error, (TrainingError, StoreError)) else f"{type(error).__name__}: {text}"
