"""Keep the registry in step with the model store on disk, and its versions tested."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from app.registry.registry import ModelRegistry

logger = logging.getLogger(__name__)


async def watch(registry: ModelRegistry, interval_s: float) -> None:
    """Refresh the registry from the store at every interval, forever."""
    trouble = None
    while True:
        await asyncio.sleep(interval_s)
        trouble = await look(registry, trouble)


async def look(registry: ModelRegistry, known: str | None = None) -> str | None:
    """Refresh the registry from the store; if that fails, the loaded versions go on serving.

    Returns:
        Message of a failure to list the store, or None. A failure equal to `known` is not logged again.
    """
    trouble = None
    try:
        await registry.refresh()
    except OSError as error:
        trouble = str(error)
        if trouble != known:
            logger.error("the models folder cannot be listed: %s", error)
    except Exception:
        logger.exception("the model store could not be looked at")
    return trouble


async def keep_tested(registry: ModelRegistry, interval_s: float) -> None:
    """Test the loaded versions after each swap and every interval_s seconds, forever; with 0, after swaps only."""
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(registry.swapped.wait(), interval_s or None)
        registry.swapped.clear()
        try:
            await registry.self_test()
        except Exception:  # the disk failed while a stand-in was sought; the next refresh retries
            logger.exception("the loaded versions could not be tested")
