"""Published versions in this process, without a service: `tabserve.load(folder)`.

The service's own code reads, checks and answers, so a version gives the same bits here; it needs the extra `serve`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Literal, Self

import httpx

from tabserve.client import Client
from tabserve.errors import LoadingFailed
from tabserve.exchange import Json
from tabserve.late import load_optional

_ADDRESS = "http://in.this.process"


def load(folder: str | Path, *, key_file: str | Path | None = None, device: str = "cpu") -> LocalModel:
    """Load and verify a published version.

    Args:
        folder: folder of the version, `models/churn/3`, or of its model, `models/churn`, whose active version (else the
            newest) is used then.
        key_file: file of the signing keys, if the version must be signed.
        device: where it computes: `cpu`, `cuda`, `mps` or `auto`.

    Raises:
        MissingExtra: without the extra `serve`.
        FileNotFoundError: if there is no version.
        LoadingFailed: with the reason, if the version fails its checks.
    """
    return LocalModel(Path(folder), key_file=None if key_file is None else Path(key_file), device=device)


class LocalModel:
    """A version in this process.

    Attributes:
        name: name of the model.
        version: number of the version.
    """

    def __init__(
        self, folder: Path, *, key_file: Path | None = None, device: str = "cpu", engine: str | None = None
    ) -> None:
        load_optional("torch", "tabserve[serve]", "loading a version")
        local = load_optional("app.api.local", "tabserve[serve]", "loading a version")
        try:
            self._transport = _InProcess(local.LocalService(folder, key_file, device, engine))
        except OSError:
            raise
        except Exception as error:
            raise LoadingFailed(str(error)) from error
        self._client = Client(_ADDRESS, transport=self._transport)
        self.name: str = self._transport.service.name
        self.version: int = self._transport.service.version

    def __repr__(self) -> str:
        return f"LocalModel({self.name!r}, version {self.version})"

    def info(self) -> Json:
        """Return the manifest: columns, classes, metrics, warnings, lineage."""
        return self._client.model(self.name).version(self.version)

    def predict(
        self,
        data: Any,
        *,
        to: str | Path | IO[bytes] | None = None,
        strict: bool | None = None,
        threshold: float | None = None,
        decision: Literal["argmax"] | None = None,
        explain: bool | Mapping[str, Any] | None = None,
        confidence: float | None = None,
        abstain: Mapping[str, Any] | Literal[False] | None = None,
        ignore_extra: bool = False,
        encoding: str = "utf-8",
    ) -> Any:
        """Predict rows; see `Client.predict`."""
        return self._client.predict(
            self.name,
            data,
            version=self.version,
            to=to,
            strict=strict,
            threshold=threshold,
            decision=decision,
            explain=explain,
            confidence=confidence,
            abstain=abstain,
            ignore_extra=ignore_extra,
            encoding=encoding,
        )

    def close(self) -> None:
        """Release the version and its thread."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class _InProcess(httpx.BaseTransport):
    """Carry requests to an ASGI app whose event loop runs in a thread of its own, so that a notebook's loop is free."""

    def __init__(self, service: Any) -> None:
        self.service = service
        self._app = httpx.ASGITransport(service)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tabserve", daemon=True)
        self._thread.start()
        try:
            self._wait_for(service.open())
        except BaseException:
            self._stop()
            raise

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the whole answer to a request."""
        answer: httpx.Response = self._wait_for(self._answer(request))
        return answer

    def close(self) -> None:
        """Close the app and end the thread."""
        if self._thread.is_alive():
            self._wait_for(self.service.close())
            self._stop()

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        answer = await self._app.handle_async_request(request)
        return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())

    def _wait_for(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _stop(self) -> None:
        self._wait_for(_cancel_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_others() -> None:
    """Cancel what still runs in this loop, and wait for its end."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
