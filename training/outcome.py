"""Why a training ended: from an exception to the machine-readable reason and a sentence; it must not import torch."""

from __future__ import annotations

import errno

from modelstore import NotPermitted, PublishError, Reason, StoreError
from training.errors import TrainingError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
# what torch, C++, pandas and the dynamic linker say, none of which has a class of its own for it
OUT_OF_MEMORY = ("allocate memory", "std::bad_alloc", "out of memory")


def reason_for(error: Exception) -> Reason:
    """Return the machine-readable end of a job that failed with this error."""
    if isinstance(error, TrainingError):
        return error.reason
    if isinstance(error, NotPermitted):
        return "interrupted"
    if isinstance(error, (PublishError, OSError)) and error.errno in DISK_FULL:
        return "disk_full"
    if isinstance(error, MemoryError) or any(said in str(error).lower() for said in OUT_OF_MEMORY):
        return "out_of_memory"
    return "failed"


def foreseen(error: Exception) -> bool:
    """Tell whether the reason and the sentence say all that there is to know about an error."""
    return reason_for(error) != "failed" or isinstance(error, (TrainingError, StoreError, OSError))


def sentence(error: Exception) -> str:
    """Return the error's text on one line, with its class where the text alone would say little."""
    text = " ".join(str(error).split())
    return text if isinstance(error, (TrainingError, StoreError)) else f"{type(error).__name__}: {text}"
