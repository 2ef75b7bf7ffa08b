"""A model and a training of a service, as `Client` returns them; methods ask the service."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tabserve import documents, steps, trainings
from tabserve.documents import CardFormat
from tabserve.errors import TrainingFailed
from tabserve.exchange import Json, Steps, get
from tabserve.progress import following

T = TypeVar("T")

_CHECK_S = 0.5  # between two looks at a training


class Asking(Protocol):
    """What a client does for its models and trainings."""

    @property
    def predict(self) -> Callable[..., Any]:
        """Predict rows; see `Client.predict`."""

    def _run(self, operation: Steps[T]) -> T: ...

    def _events(self, job_id: str) -> Iterator[Json]: ...


class Model:
    """One model of a service; each method asks the service.

    Attributes:
        name: name of the model.
    """

    def __init__(self, client: Asking, name: str) -> None:
        self._client = client
        self.name = name

    def __repr__(self) -> str:
        return f"Model({self.name!r})"

    def info(self) -> Json:
        """Return what `GET /models/{model}` says: state, versions, columns, metrics, warnings, an example."""
        return self._client._run(get("models", self.name))

    def versions(self) -> list[Json]:
        """Return the history, newest version first."""
        return self._client._run(steps.versions(self.name))

    def version(self, version: int) -> Json:
        """Return the manifest of a version and its state."""
        return self._client._run(get("models", self.name, "versions", version))

    def compare(self, first: int, second: int) -> Json:
        """Return the comparison of two versions on the test rows of both."""
        return self._client._run(get("models", self.name, "compare", query={"versions": f"{first},{second}"}))

    def predict(self, data: Any, **options: Any) -> Any:
        """Predict rows; see `Client.predict`."""
        return self._client.predict(self.name, data, **options)

    def card(self, version: int | None = None, *, form: CardFormat = "json") -> Any:
        """Return the model card of a version: CycloneDX 1.6 as a dictionary, or a text.

        Args:
            version: number of the version; None for the serving one.
            form: `json`, `html` or `markdown`.
        """
        return self._client._run(documents.card(self.name, version, form))

    def plots(self, version: int | None = None) -> dict[str, list[str]]:
        """Return the names of a version's `plots`, and of those whose `data` it has; None is the serving version."""
        return self._client._run(documents.plots(self.name, version))

    def plot(self, name: str, version: int | None = None) -> bytes:
        """Return a plot as PNG, such as `confusion`."""
        return self._client._run(documents.plot(self.name, name, version))

    def plot_data(self, name: str, version: int | None = None) -> Json:
        """Return what a plot shows, such as `reliability`, `residuals` or `partial_dependence`."""
        return self._client._run(documents.plot_data(self.name, name, version))

    def download(self, to: str | Path, version: int | None = None) -> Path:
        """Write the artifact of a version, `model.pt`, to a file, and return its path; needs a key with scope `admin`.

        Raises:
            TabserveError: if it is not the file that was published.
        """
        return self._client._run(documents.download(self.name, Path(to), version))

    def activate(self, version: int) -> Json:
        """Make a version the one that answers; return what `info` says then.

        Raises:
            ServiceError: with status 409, if it fails its checks.
        """
        return self._client._run(steps.change(self.name, version, "activate"))

    def rollback(self) -> Json:
        """Activate the version that was active before the present one.

        Raises:
            WrongInput: if there is none.
        """
        return self._client._run(steps.rollback(self.name))

    def shadow(self, version: int) -> Json:
        """Have the answers of a version compared with those of the active one; return what `info` says then.

        Raises:
            ServiceError: with status 409, if it takes other columns, answers something else, or fails its checks.
        """
        return self._client._run(steps.change(self.name, version, "shadow"))

    def end_shadow(self, version: int) -> None:
        """End the comparison with the active version.

        Raises:
            ServiceError: with status 409, if the version is not the shadow.
        """
        self._client._run(steps.delete("models", self.name, "versions", version, "shadow"))

    def promote(self, version: int) -> Json:
        """Activate the shadow if labels show that it is better; return what `info` says then.

        Raises:
            ServiceError: with status 409 and the figures, if they do not.
        """
        return self._client._run(steps.change(self.name, version, "promote"))

    def live(self, version: int, *, days: int = 30) -> Json:
        """Return how right the answers of a version were, by labels, and how it compares with its shadow.

        Args:
            version: number of the version.
            days: only rows that were predicted in so many days up to now.
        """
        path = ("models", self.name, "versions", version, "live")
        return self._client._run(get(*path, query={"days": days}))

    def delete(self, version: int | None = None) -> None:
        """Remove one version, or the model with all its versions, for good."""
        parts = ("models", self.name) if version is None else ("models", self.name, "versions", version)
        self._client._run(steps.delete(*parts))


class Training(trainings.TrainingJob):
    """One training of a service."""

    def __init__(self, client: Asking, job: Json) -> None:
        super().__init__(job)
        self._client = client

    def refresh(self) -> Training:
        """Fetch the current state."""
        self.job = self._client._run(get("train", self.id))
        return self

    def wait(self, *, progress: bool = True) -> Training:
        """Return when it has ended.

        Args:
            progress: show a progress bar on a terminal or in a notebook.

        Raises:
            TrainingFailed: if it ended without a version.
        """
        with following(self.job, shown=progress) as show:
            while self.refresh().status not in trainings.ENDED:
                show(self.job)
                time.sleep(_CHECK_S)
            show(self.job)
        if self.status != "succeeded":
            raise TrainingFailed(self.job)
        return self

    def events(self) -> Iterator[Json]:
        """Yield its events from the beginning, as they come: `epoch`, `notice`, and at last `result`."""
        return self._client._events(self.id)

    def cancel(self, *, keep: bool = False) -> Training:
        """Cancel it; nothing is published.

        Args:
            keep: end it early instead, and publish what it has learnt by then, if it runs.

        Raises:
            ServiceError: with status 409, if it has ended.
        """
        self.job = self._client._run(trainings.cancel(self.id, keep=keep))
        return self
