"""Limit the threads of computations in this process."""

from __future__ import annotations

import torch
from threadpoolctl import threadpool_limits


def use_one_thread() -> None:
    """Set torch, and each BLAS library that is loaded, to one thread.

    That is fastest for small batches, and makes the weights independent of the number of cores.
    """
    torch.set_num_threads(1)
    threadpool_limits(1, user_api="blas")  # its threads wait for each other: scikit-learn's linear models crawl
