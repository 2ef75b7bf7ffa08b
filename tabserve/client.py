"""The client of a service: predictions, trainings, models and data sets.

with tabserve.Client("http://localhost:8000") as client:
    client.train("churn", "churn.csv", target="churned")
    client.predict("churn", frame)

`Client.predict` is long because its signature and docstring are what users read.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Literal, Self, TypeVar

import httpx

from tabserve import steps, trainings
from tabserve.errors import ServiceUnreachable
from tabserve.exchange import Call, Json, Steps, address_of, get, path_of, require_ok, wait_before_retry
from tabserve.options import Options
from tabserve.resources import Model, Training

T = TypeVar("T")

DEFAULT_URL = "http://localhost:8000"


class Client:
    """Ask one service; all methods share one pool of connections, and may be called from several threads.

    GET requests are repeated if the connection fails; predictions if the connection is refused, or with the service's
    `Retry-After` if it is busy; nothing else is.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        key: str | None = None,
        *,
        timeout_s: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Create a client; nothing is sent yet.

        Args:
            url: address of the service, with the path prefix if a proxy gives it one.
            key: API key, `tabserve_...`; None for requests without one.
            timeout_s: longest wait for a connection, and for each part of an answer.
            transport: what carries the requests, if not the network.

        Raises:
            WrongInput: if the address is none.
        """
        self.url = address_of(url)
        headers = {"user-agent": "tabserve"} | ({"authorization": f"Bearer {key}"} if key else {})
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=timeout_s, transport=transport)

    def predict(
        self,
        model: str,
        data: Any,
        *,
        version: int | None = None,
        to: str | Path | IO[bytes] | None = None,
        strict: bool | None = None,
        threshold: float | None = None,
        decision: Literal["argmax"] | None = None,
        explain: bool | Mapping[str, Any] | None = None,
        confidence: float | None = None,
        abstain: Mapping[str, Any] | Literal[False] | None = None,
        ignore_extra: bool = False,
        encoding: str = "utf-8",
        receipts: bool = False,
        id_column: str | None = None,
    ) -> Any:
        """Predict rows. All rows of a call are answered by one version.

        Args:
            model: name of the model.
            data: a DataFrame; the path of a CSV file (`.csv`, `.tsv`, also with `.gz`) or of lines of JSON
                (`.ndjson`, `.jsonl`); a list of rows, each a list of values or a dictionary; or one dictionary.
            version: version that answers; by default the one that serves.
            to: where to write the answers to a file, which may be larger than memory: a binary file, or a path, which
                gets them once they are complete.
            strict: refuse rows with a value that is unseen, outside the training range, or missing in a column that
                had no gaps in training; by default as the version says.
            threshold: answer the second of two classes from this probability on.
            decision: `argmax` answers the most probable class, whatever the decision of the version.
            explain: add what each column contributed to the answer; `{"top": 3}`, `{"class": "yes"}` or
                `{"confidence_below": 0.8}` say more.
            confidence: add the set (interval) that holds the truth with this probability, if the service can.
            abstain: when nothing is decided, such as `{"below": 0.8}`; False for never, whatever the version says.
            ignore_extra: ignore columns that the model does not know, instead of refusing them.
            encoding: encoding of a file.
            receipts: add a `receipt` to each row, for `feedback` when the truth is known.
            id_column: column (name in each dictionary) with ids of your own, which may stand for the receipts; if the
                service keeps ids.

        Returns:
            For a DataFrame, a DataFrame with the same index: `label`, `probability` and `probability_<class>`, or
            `value`; for a file the same, or with `to` the number of bytes written; for a list of rows (lines of JSON) a
            list of dictionaries; for one dictionary, one.

        Raises:
            ServiceError: if the service refuses; its problems name rows of the whole table.
            WrongInput, MissingExtra, ServiceUnreachable.
        """
        said = (version, strict, threshold, decision, explain, confidence, abstain, ignore_extra, encoding, receipts)
        options = Options(*said, id_column)
        return self._run(steps.predict(model, data, options, Path(to) if isinstance(to, str) else to))

    def feedback(
        self,
        receipts: Iterable[str] | None = None,
        labels: Iterable[Any] = (),
        *,
        ids: Iterable[Any] | None = None,
        model: str | None = None,
    ) -> Json:
        """Send the true labels of predicted rows; each counts once.

        Args:
            receipts: receipts of rows, from `predict(..., receipts=True)`.
            labels: the class, or the value, of each of them, in the same order.
            ids: ids of your own in place of receipts, from `predict(..., id_column="order")`.
            model: the model that answered them; needed only where rows of several models had the same ids.

        Returns:
            Numbers of labels `taken`, `repeated` (known before) and `refused`, and `errors`, each with its `row`.
        """
        return self._run(steps.feedback(receipts, labels, ids, model))

    def train(
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
    ) -> Training:
        """Train a model, and wait until it has ended.

        Args:
            model: name of the model.
            data: a DataFrame or the path of a file, which is stored as a data set first; None for a stored data set, or
                for the recipe of this name.
            target: column to predict.
            dataset: name of the data set; by default the model's.
            budget_s: seconds that the training may take, about.
            overrides: other settings, such as `{"learner": "linear"}`.
            dialect: how a file is written, where that is detected wrongly, such as `{"decimal": ","}`.
            wait: return when it has ended; otherwise at once.
            progress: show a progress bar on a terminal or in a notebook while waiting.
            request: further fields of `POST /train`, such as `features`, `types`, `split`, `activate`, `seed`,
                `include_feedback=True`.

        Raises:
            ServiceError: if the table or the request is refused.
            TrainingFailed: if it ended without a version.
        """
        if data is not None:
            self.put_dataset(dataset or model, data, **(dialect or {}))
        said: dict[str, Any] = {"dataset": dataset, "budget_s": budget_s, "overrides": overrides, "further": request}
        body = trainings.training_request(model, data, target=target, **said)
        training = Training(self, self._run(trainings.start_training(body)))
        return training.wait(progress=progress) if wait else training

    def put_dataset(self, name: str, data: Any, **dialect: Any) -> Json:
        """Store a DataFrame, or a file as it is, as a data set; return what its columns are.

        Args:
            name: name of the data set.
            data: a DataFrame or the path of a file.
            dialect: how a file is written, where that is detected wrongly: `delimiter`, `decimal`, `encoding`, ...

        Raises:
            ServiceError: with the first problems by line and column, if it is no table.
        """
        return self._run(steps.put_dataset(name, data, dialect))

    def datasets(self) -> list[Json]:
        """Return all data sets, as `GET /datasets` describes them."""
        found: list[Json] = self._run(get("datasets"))["datasets"]
        return found

    def delete_dataset(self, name: str) -> None:
        """Remove a data set."""
        self._run(steps.delete("datasets", name))

    def models(self) -> list[Model]:
        """Return all models."""
        return [Model(self, info["name"]) for info in self._run(get("models"))["models"]]

    def model(self, name: str) -> Model:
        """Return a model by its name; no request is sent."""
        return Model(self, name)

    def training(self, job_id: str) -> Training:
        """Return a training by its id."""
        return Training(self, self._run(get("train", job_id)))

    def trainings(self, model: str | None = None) -> list[Training]:
        """Return the trainings of one model or of all, newest first."""
        return [Training(self, job) for job in self._run(trainings.list_trainings(model))]

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _run(self, operation: Steps[T]) -> T:
        """Send the requests of an operation and return its value."""
        try:
            call = next(operation)
            while True:
                call = operation.send(self._send(call))
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            operation.close()

    def _send(self, call: Call) -> httpx.Response:
        """Send one request, again where that is safe.

        Raises:
            ServiceUnreachable.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                outcome: httpx.Response | httpx.TransportError = self._send_once(call)
            except httpx.TransportError as error:
                outcome = error
            pause_s = wait_before_retry(call, attempt, outcome)
            if pause_s is not None:
                time.sleep(pause_s)
            elif isinstance(outcome, httpx.Response):
                return outcome
            else:
                raise ServiceUnreachable(self.url, str(outcome) or type(outcome).__name__) from outcome

    def _send_once(self, call: Call) -> httpx.Response:
        timeout = httpx.USE_CLIENT_DEFAULT if call.timeout_s is None else call.timeout_s
        headers = dict(call.headers)
        with contextlib.ExitStack() as stack:
            content: bytes | IO[bytes] | None = call.content
            if call.file is not None:
                content = stack.enter_context(call.file.open("rb"))
                headers["content-length"] = str(call.file.stat().st_size)
            return self._http.request(
                call.method, call.path, params=call.query, headers=headers, content=content, timeout=timeout
            )

    def _events(self, job_id: str) -> Iterator[Json]:
        """Yield the events of a training; a lost connection is opened again where it was lost."""
        last, lost = "0", 0
        while lost <= trainings.MOST_LOST:
            with (
                contextlib.suppress(httpx.TransportError),
                self._http.stream(
                    "GET",
                    path_of("train", job_id, "events"),
                    headers={"last-event-id": last},
                    timeout=trainings.SILENCE_S,
                ) as answer,
            ):
                if answer.is_error:
                    answer.read()
                if require_ok(answer).status_code == httpx.codes.NO_CONTENT:
                    return
                read = trainings.EventReader()
                for found in filter(None, map(read.line, answer.iter_lines())):
                    last, lost = found[0], 0
                    yield found[1]
                    if found[1]["event"] == "result":
                        return
            lost += 1
            if lost <= trainings.MOST_LOST:
                time.sleep(trainings.pause_s(lost))
        raise ServiceUnreachable(self.url, "the stream of events ended early, again and again")
