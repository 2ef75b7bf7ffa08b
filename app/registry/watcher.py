"""Keep the registry in step with the model store on disk."""

from __future__ import annotations

import asyncio
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
