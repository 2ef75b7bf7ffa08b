"""A model and a training of a service; each method asks it, for `AsyncClient`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tabserve import documents, steps, trainings
from tabserve.documents import CardFormat
from tabserve.errors import TrainingFailed
from tabserve.exchange import Json, Steps, get
from tabserve.progress import following

T = TypeVar("T")

_CHECK_S = 0.5  # between two looks at a training


class AsyncAsking(Protocol):
    """What a client does for its models and trainings."""

    @property
    def predict(self) -> Callable[..., Awaitable[Any]]:
        """Predict rows; see `Client.predict`."""

    async def _run(self, operation: Steps[T]) -> T: ...

    def _events(self, job_id: str) -> AsyncIterator[Json]: ...


class AsyncModel:
    """One model of a service; see `tabserve.Model`.

    Attributes:
        name: name of the model.
    """

    def __init__(self, client: AsyncAsking, name: str) -> None:
        self._client = client
        self.name = name

    async def info(self) -> Json:
        """Return what `GET /models/{model}` says."""
        return await self._client._run(get("models", self.name))

    async def versions(self) -> list[Json]:
        """Return the history, newest version first."""
        return await self._client._run(steps.versions(self.name))

    async def predict(self, data: Any, **options: Any) -> Any:
        """Predict rows; see `Client.predict`."""
        return await self._client.predict(self.name, data, **options)

    async def compare(self, first: int, second: int) -> Json:
        """Return the comparison of two versions on the test rows of both."""
        query = {"versions": f"{first},{second}"}
        return await self._client._run(get("models", self.name, "compare", query=query))

    async def version(self, version: int) -> Json:
        """Return the manifest of a version and its state."""
        return await self._client._run(get("models", self.name, "versions", version))

    async def card(self, version: int | None = None, *, form: CardFormat = "json") -> Any:
        """Return the model card of a version: CycloneDX 1.6 as a dictionary, or a text.

        Args:
            version: number of the version; None for the serving one.
            form: `json`, `html` or `markdown`.
        """
        return await self._client._run(documents.card(self.name, version, form))

    async def plots(self, version: int | None = None) -> dict[str, list[str]]:
        """Return the names of a version's `plots`, and of those whose `data` it has; None is the serving version."""
        return await self._client._run(documents.plots(self.name, version))

    async def plot(self, name: str, version: int | None = None) -> bytes:
        """Return a plot as PNG, such as `confusion`."""
        return await self._client._run(documents.plot(self.name, name, version))

    async def plot_data(self, name: str, version: int | None = None) -> Json:
        """Return what a plot shows, such as `reliability`, `residuals` or `partial_dependence`."""
        return await self._client._run(documents.plot_data(self.name, name, version))

    async def download(self, to: str | Path, version: int | None = None) -> Path:
        """Write the artifact of a version, `model.pt`, to a file, and return its path; needs a key with scope `admin`.

        Raises:
            TabserveError: if it is not the file that was published.
        """
        return await self._client._run(documents.download(self.name, Path(to), version))

    async def activate(self, version: int) -> Json:
        """Make a version the one that answers."""
        return await self._client._run(steps.change(self.name, version, "activate"))

    async def rollback(self) -> Json:
        """Activate the version that was active before the present one."""
        return await self._client._run(steps.rollback(self.name))

    async def shadow(self, version: int) -> Json:
        """Have the answers of a version compared with those of the active one."""
        return await self._client._run(steps.change(self.name, version, "shadow"))

    async def end_shadow(self, version: int) -> None:
        """End the comparison with the active version."""
        await self._client._run(steps.delete("models", self.name, "versions", version, "shadow"))

    async def promote(self, version: int) -> Json:
        """Activate the shadow if labels show that it is better."""
        return await self._client._run(steps.change(self.name, version, "promote"))

    async def live(self, version: int, *, days: int = 30) -> Json:
        """Return how right the answers of a version were, by labels, and how it compares with its shadow."""
        path = ("models", self.name, "versions", version, "live")
        return await self._client._run(get(*path, query={"days": days}))

    async def delete(self, version: int | None = None) -> None:
        """Remove one version, or the model with all its versions, for good."""
        parts = ("models", self.name) if version is None else ("models", self.name, "versions", version)
        await self._client._run(steps.delete(*parts))


class AsyncTraining(trainings.TrainingJob):
    """One training of a service; see `tabserve.Training`."""

    def __init__(self, client: AsyncAsking, job: Json) -> None:
        super().__init__(job)
        self._client = client

    async def refresh(self) -> AsyncTraining:
        """Fetch the current state."""
        self.job = await self._client._run(get("train", self.id))
        return self

    async def wait(self, *, progress: bool = True) -> AsyncTraining:
        """Return when it has ended; see `tabserve.Training.wait`.

        Raises:
            TrainingFailed: if it ended without a version.
        """
        with following(self.job, shown=progress) as show:
            while (await self.refresh()).status not in trainings.ENDED:
                show(self.job)
                await asyncio.sleep(_CHECK_S)
            show(self.job)
        if self.status != "succeeded":
            raise TrainingFailed(self.job)
        return self

    def events(self) -> AsyncIterator[Json]:
        """Yield its events from the beginning, as they come."""
        return self._client._events(self.id)

    async def cancel(self, *, keep: bool = False) -> AsyncTraining:
        """Cancel it; nothing is published, unless `keep` publishes what a running one has learnt by then."""
        self.job = await self._client._run(trainings.cancel(self.id, keep=keep))
        return self
