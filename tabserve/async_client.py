"""The client of a service for `async` programs: the operations of `Client`, awaited."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import IO, Any, Self, TypeVar

import httpx

from tabserve import steps, trainings
from tabserve.async_resources import AsyncModel, AsyncTraining
from tabserve.client import DEFAULT_URL
from tabserve.errors import ServiceUnreachable
from tabserve.exchange import Call, Json, Steps, address_of, get, path_of, require_ok, wait_before_retry
from tabserve.options import Options

T = TypeVar("T")

_PIECE_BYTES = 1 << 18


class AsyncClient:
    """Ask one service; see `tabserve.Client`, which has the same methods and explains their arguments."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        key: str | None = None,
        *,
        timeout_s: float = 60.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Create a client; nothing is sent yet.

        Args:
            url: address of the service.
            key: API key, `tabserve_...`; None for requests without one.
            timeout_s: longest wait for a connection, and for each part of an answer.
            transport: what carries the requests, if not the network.

        Raises:
            WrongInput: if the address is none.
        """
        self.url = address_of(url)
        headers = {"user-agent": "tabserve"} | ({"authorization": f"Bearer {key}"} if key else {})
        self._http = httpx.AsyncClient(base_url=self.url, headers=headers, timeout=timeout_s, transport=transport)

    async def predict(self, model: str, data: Any, *, to: str | Path | IO[bytes] | None = None, **options: Any) -> Any:
        """Predict rows; see `Client.predict`."""
        target = Path(to) if isinstance(to, str) else to
        return await self._run(steps.predict(model, data, Options(**options), target))

    async def feedback(
        self,
        receipts: Iterable[str] | None = None,
        labels: Iterable[Any] = (),
        *,
        ids: Iterable[Any] | None = None,
        model: str | None = None,
    ) -> Json:
        """Send what turned out to be true of predicted rows; see `Client.feedback`."""
        return await self._run(steps.feedback(receipts, labels, ids, model))

    async def train(
        self,
        model: str,
        data: Any = None,
        target: str | None = None,
        *,
        dataset: str | None = None,
        budget_s: float | None = None,
        overrides: Mapping[str, Any] | None = None,
        dialect: Mapping[str, Any] | None = None,
        wait: bool = True,
        progress: bool = True,
        **request: Any,
    ) -> AsyncTraining:
        """Train a model, and wait until it has ended; see `Client.train`."""
        if data is not None:
            await self.put_dataset(dataset or model, data, **(dialect or {}))
        said: dict[str, Any] = {"dataset": dataset, "budget_s": budget_s, "overrides": overrides, "further": request}
        body = trainings.training_request(model, data, target=target, **said)
        training = AsyncTraining(self, await self._run(trainings.start_training(body)))
        return await training.wait(progress=progress) if wait else training

    async def put_dataset(self, name: str, data: Any, **dialect: Any) -> Json:
        """Store a table as a data set; see `Client.put_dataset`."""
        return await self._run(steps.put_dataset(name, data, dialect))

    async def datasets(self) -> list[Json]:
        """Return all data sets, as `GET /datasets` describes them."""
        found: list[Json] = (await self._run(get("datasets")))["datasets"]
        return found

    async def delete_dataset(self, name: str) -> None:
        """Remove a data set."""
        await self._run(steps.delete("datasets", name))

    async def models(self) -> list[AsyncModel]:
        """Return all models."""
        return [AsyncModel(self, info["name"]) for info in (await self._run(get("models")))["models"]]

    def model(self, name: str) -> AsyncModel:
        """Return a model by its name; it is not asked for yet."""
        return AsyncModel(self, name)

    async def training(self, job_id: str) -> AsyncTraining:
        """Return a training by its id."""
        return AsyncTraining(self, await self._run(get("train", job_id)))

    async def trainings(self, model: str | None = None) -> list[AsyncTraining]:
        """Return the trainings of one model or of all, newest first."""
        return [AsyncTraining(self, job) for job in await self._run(trainings.list_trainings(model))]

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def _run(self, operation: Steps[T]) -> T:
        """Send the requests of an operation and return its value."""
        try:
            call = next(operation)
            while True:
                call = operation.send(await self._send(call))
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            operation.close()

    async def _send(self, call: Call) -> httpx.Response:
        """Send one request, again where that is safe.

        Raises:
            ServiceUnreachable.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                outcome: httpx.Response | httpx.TransportError = await self._send_once(call)
            except httpx.TransportError as error:
                outcome = error
            pause_s = wait_before_retry(call, attempt, outcome)
            if pause_s is not None:
                await asyncio.sleep(pause_s)
            elif isinstance(outcome, httpx.Response):
                return outcome
            else:
                raise ServiceUnreachable(self.url, str(outcome) or type(outcome).__name__) from outcome

    async def _send_once(self, call: Call) -> httpx.Response:
        timeout = httpx.USE_CLIENT_DEFAULT if call.timeout_s is None else call.timeout_s
        headers = dict(call.headers)
        content: bytes | AsyncIterator[bytes] | None = call.content
        if call.file is not None:
            content = _read(call.file)
            headers["content-length"] = str(call.file.stat().st_size)
        return await self._http.request(
            call.method, call.path, params=call.query, headers=headers, content=content, timeout=timeout
        )

    async def _events(self, job_id: str) -> AsyncIterator[Json]:
        """Yield the events of a training; a lost connection is opened again where it was lost."""
        last, lost = "0", 0
        while lost <= trainings.MOST_LOST:
            with contextlib.suppress(httpx.TransportError):
                async with self._http.stream(
                    "GET",
                    path_of("train", job_id, "events"),
                    headers={"last-event-id": last},
                    timeout=trainings.SILENCE_S,
                ) as answer:
                    if answer.is_error:
                        await answer.aread()
                    if require_ok(answer).status_code == httpx.codes.NO_CONTENT:
                        return
                    read = trainings.EventReader()
                    async for line in answer.aiter_lines():
                        if (found := read.line(line)) is None:
                            continue
                        last, lost = found[0], 0
                        yield found[1]
                        if found[1]["event"] == "result":
                            return
            lost += 1
            if lost <= trainings.MOST_LOST:
                await asyncio.sleep(trainings.pause_s(lost))
        raise ServiceUnreachable(self.url, "the stream of events ended early, again and again")


async def _read(path: Path) -> AsyncIterator[bytes]:
    """Yield a file in pieces, each read in a thread."""
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
            yield piece
