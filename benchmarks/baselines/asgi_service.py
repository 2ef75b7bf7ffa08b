"""A hand-optimised service: bare ASGI, orjson, NumPy and frozen TorchScript."""

from __future__ import annotations

import numpy as np
import orjson
import torch
from starlette.types import Receive, Scope, Send

from benchmarks.baselines.model import Model, load
from benchmarks.baselines.server import serve


class Service:
    """Answers POST /predict/iris; checks shape and finiteness."""

    def __init__(self, model: Model) -> None:
        self._model = model

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
        try:
            status, content = 200, self._predict(b"".join(parts))
        except (ValueError, KeyError, TypeError) as error:
            status, content = 422, orjson.dumps({"error": str(error)})
        await _answer(send, status, content)

    def _predict(self, body: bytes) -> bytes:
        x = np.array(orjson.loads(body)["instances"], dtype=np.float32)
        if x.ndim != 2 or x.shape[1] != self._model.features or not np.isfinite(x).all():
            raise ValueError(f"instances must be finite rows of {self._model.features} numbers")
        with torch.inference_mode():
            probabilities = self._model.module(torch.from_numpy(x)).numpy()  # (N, K)
        classes = self._model.classes
        predictions = [
            {"label": classes[k], "probability": row[k], "probabilities": dict(zip(classes, row, strict=True))}
            for k, row in zip(probabilities.argmax(axis=1).tolist(), probabilities.tolist(), strict=True)
        ]
        return orjson.dumps({"model": "iris", "version": 1, "predictions": predictions})


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    serve(Service(load(freeze=True)))
