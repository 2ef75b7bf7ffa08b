"""A hand-optimised service: bare ASGI, orjson, NumPy and an engine.

Run by itself, it takes frozen TorchScript.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import orjson
import torch
from numpy.typing import NDArray
from starlette.types import Receive, Scope, Send

from benchmarks.baselines.model import Model, load
from benchmarks.baselines.server import serve

Engine = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Service:
    """Answers POST /predict/iris with an object for each row, or by columns; checks shape and finiteness."""

    def __init__(self, model: Model, engine: Engine) -> None:
        self._classes = model.classes
        self._features = model.features
        self._engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["path"] != "/predict/iris" or scope["method"] != "POST":
            await _answer(send, 404, b'{"error":"not found"}')
            return
        parts = []
        while True:
            message = await receive()
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                break
        write = self._columns if scope["query_string"] == b"layout=columns" else self._objects
        try:
            status, content = 200, write(self._predict(b"".join(parts)))
        except (ValueError, KeyError, TypeError) as error:
            status, content = 422, orjson.dumps({"error": str(error)})
        await _answer(send, status, content)

    def _predict(self, body: bytes) -> NDArray[np.float32]:
        x = np.array(orjson.loads(body)["instances"], dtype=np.float32)
        if x.ndim != 2 or x.shape[1] != self._features or not np.isfinite(x).all():
            raise ValueError(f"instances must be finite rows of {self._features} numbers")
        return self._engine(x)  # (N, K)

    def _objects(self, probabilities: NDArray[np.float32]) -> bytes:
        classes = self._classes
        predictions = [
            {"label": classes[k], "probability": row[k], "probabilities": dict(zip(classes, row, strict=True))}
            for k, row in zip(probabilities.argmax(axis=1).tolist(), probabilities.tolist(), strict=True)
        ]
        return orjson.dumps({"model": "iris", "version": 1, "predictions": predictions})

    def _columns(self, probabilities: NDArray[np.float32]) -> bytes:
        labels = [self._classes[k] for k in probabilities.argmax(axis=1).tolist()]
        answer = {"model": "iris", "version": 1, "classes": self._classes, "probabilities": probabilities}
        return orjson.dumps(answer | {"labels": labels}, option=orjson.OPT_SERIALIZE_NUMPY)


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def torchscript(model: Model) -> Engine:
    """Return the module as a function of arrays."""

    def predict(x: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            probabilities: NDArray[np.float32] = model.module(torch.from_numpy(x)).numpy()
        return probabilities

    return predict


if __name__ == "__main__":
    loaded = load(freeze=True)
    serve(Service(loaded, torchscript(loaded)))
