"""What a client asks of a service, as requests and answers; nothing is sent here.

Each function is one operation of `Client` and `AsyncClient` (see `tabserve/exchange.py`).
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Literal

from tabserve.columns import Columns
from tabserve.errors import ServiceError, WrongInput
from tabserve.exchange import UPLOAD_TIMEOUT_S, Call, Json, Steps, ask, get, path_of, require_ok
from tabserve.files import file_bodies
from tabserve.options import Options
from tabserve.tables import ROWS, Body, frame_bodies, json_of, read_frame, read_rows, row_bodies, without_header

MOST_LABELS = 10_000  # in a request
JSON_HEADERS = {"content-type": "application/json"}


def predict(model: str, data: Any, options: Options, to: Path | IO[bytes] | None = None) -> Steps[Any]:
    """Predict rows of any number, with one version; see `Client.predict`.

    Raises:
        ServiceError, WrongInput.
    """
    if to is not None and not isinstance(data, str | Path):
        raise WrongInput(f"to: is for the answers to a file of rows, got {type(data).__name__}; write what is returned")
    columns = yield from _columns(model, options.version)
    if hasattr(data, "iloc"):
        if hasattr(data, "to_frame"):
            raise WrongInput("a Series is no table: pass series.to_frame() for a column, or series.to_dict() for a row")
        parts, kind = yield from _answers(
            model,
            frame_bodies(
                data, columns, ignore_extra=options.ignore_extra, few=options.long, id_column=options.id_column
            ),
            columns,
            options,
        )
        return read_frame(parts, kind, data.index)
    if isinstance(data, str | Path):
        path = Path(data)
        if to is not None:
            return (yield from _write_file(model, path, columns, options, to))
        parts, kind = yield from _answers(model, _file_bodies(path, columns, options), columns, options)
        return read_rows(parts) if kind == ROWS else read_frame(parts, kind, None)
    rows = [data] if isinstance(data, Mapping) else data
    parts, _ = yield from _answers(model, row_bodies(rows, few=options.long), columns, options)
    found = read_rows(parts)
    return found[0] if isinstance(data, Mapping) else found


def _columns(model: str, version: int | None) -> Steps[Columns]:
    """Return the columns of the version that is to answer; it answers all bodies of one table."""
    if version is not None:
        return Columns.of((yield from get("models", model, "versions", version)), version)
    document = yield from serving(model)
    return Columns.of(document, document["serving_version"])


def serving(model: str) -> Steps[Json]:
    """Return what the service says of a model that can answer.

    Raises:
        ServiceError: with status 503, if none of its versions can.
    """
    document = yield from get("models", model)
    if document["serving_version"] is None:
        raise ServiceError(503, f"{model} has no version that can answer: {document['reason']}", kind="model-not-ready")
    return document


def _answers(model: str, bodies: Iterator[Body], columns: Columns, options: Options) -> Steps[tuple[list[bytes], str]]:
    parts, kind = [], ROWS
    for body in bodies:
        answer = yield _call(model, body, columns, options)
        parts.append(require_ok(answer, body.before).content)
        kind = body.answered
    return parts, kind


def _write_file(model: str, path: Path, columns: Columns, options: Options, to: Path | IO[bytes]) -> Steps[int]:
    """Write the answers to a file while the rows are read; return the number of bytes.

    A path gets them once they are complete, so that a failure leaves what was there, and may be that of the rows.
    """
    if not isinstance(to, Path):
        return (yield from _write(model, path, columns, options, to))
    if to.exists() and not to.is_file():  # a device or a pipe
        with to.open("wb") as file:
            return (yield from _write(model, path, columns, options, file))
    target = to.resolve()
    aside = target.with_name(f"{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with aside.open("xb") as file:
            written = yield from _write(model, path, columns, options, file)
        if target.exists():
            shutil.copymode(target, aside)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
    return written


def _write(model: str, path: Path, columns: Columns, options: Options, file: IO[bytes]) -> Steps[int]:
    written = 0
    for body in _file_bodies(path, columns, options):
        answer = yield _call(model, body, columns, options)
        content = require_ok(answer, body.before).content
        written += file.write(without_header(content, body.answered) if written else content)
    return written


def _file_bodies(path: Path, columns: Columns, options: Options) -> Iterator[Body]:
    names = columns.types if columns.headless else ()
    return file_bodies(path, options.encoding, few=options.long, names=names)


def _call(model: str, body: Body, columns: Columns, options: Options) -> Call:
    return Call(
        "POST",
        path_of("predict", model, "versions", columns.version),
        options.query(),
        {"content-type": body.content_type, "accept": body.answered, **options.headers()},
        body.content,
        repeat="refused",
    )


def feedback(
    receipts: Iterable[str] | None, labels: Iterable[Any], ids: Iterable[Any] | None = None, model: str | None = None
) -> Steps[Json]:
    """Send what turned out to be true; see `Client.feedback`.

    Raises:
        ServiceError, WrongInput.
    """
    given = receipts if ids is None else ids
    if given is None or not (receipts is None or ids is None):
        raise WrongInput("expected receipts or ids, one of the two")
    field, rows, truths = "receipt" if ids is None else "id", list(given), list(labels)
    if len(rows) != len(truths):
        raise WrongInput(f"expected a label for each {field}, got {len(truths)} for {len(rows)}")
    more = {} if model is None or ids is None else {"model": model}
    items = [
        json_of({field: row, "label": truth, **more}, f"label {place}")
        for place, (row, truth) in enumerate(zip(rows, truths, strict=True))
    ]
    total: Json = {"taken": 0, "repeated": 0, "refused": 0, "errors": []}
    for start in range(0, len(items), MOST_LABELS):
        body = b'{"feedback": [%b]}' % b", ".join(items[start : start + MOST_LABELS])
        call = Call("POST", "/feedback", {}, JSON_HEADERS, body, repeat="refused")
        found = yield from ask(call)
        for name in ("taken", "repeated", "refused"):
            total[name] += found[name]
        total["errors"] += [{**error, "row": error["row"] + start} for error in found["errors"]]
    return total


def put_dataset(name: str, data: Any, dialect: Mapping[str, Any]) -> Steps[Json]:
    """Store a table as a data set; see `Client.put_dataset`.

    Raises:
        ServiceError, WrongInput.
    """
    query = {key: str(value).lower() if isinstance(value, bool) else value for key, value in dialect.items()}
    if hasattr(data, "to_csv"):
        content, file = data.to_csv(index=False).encode(), None
    elif isinstance(data, str | Path):
        content, file = None, Path(data)
    else:
        raise WrongInput(f"expected a DataFrame or the path of a file, got {type(data).__name__}")
    headers = {"content-type": "text/csv"}
    return ask(Call("PUT", path_of("datasets", name), query, headers, content, file, timeout_s=UPLOAD_TIMEOUT_S))


def versions(model: str) -> Steps[list[Json]]:
    """Return the history of a model, newest version first."""
    found: list[Json] = []
    query: dict[str, str | int] = {}
    while True:
        page = yield from get("models", model, "versions", query=dict(query))
        found += page["versions"]
        if page["next"] is None:
            return found
        query["before"] = page["versions"][-1]["version"]


def rollback(model: str) -> Steps[Json]:
    """Activate the version that was active before the present one.

    Raises:
        WrongInput: if there is none.
    """
    before = [version["version"] for version in (yield from versions(model)) if version["previous"]]
    if not before:
        raise WrongInput(f"{model} has no version that was active before the present one")
    return (yield from change(model, before[0], "activate"))


def change(model: str, version: int, action: Literal["activate", "shadow", "promote"]) -> Steps[Json]:
    """Make a version active or the shadow; return what the service says of the model then.

    Raises:
        ServiceError.
    """
    return ask(Call("POST", path_of("models", model, "versions", version, action)))


def delete(*parts: str | int) -> Steps[None]:
    """Remove what is at a path.

    Raises:
        ServiceError.
    """
    require_ok((yield Call("DELETE", path_of(*parts))))
