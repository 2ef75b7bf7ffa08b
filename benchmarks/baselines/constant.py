"""The upper limit: a bare ASGI callable that answers constant bytes, so uvicorn alone.

For one row it does not even read the body. Larger bodies have to be read, or the connection could not be used again.
"""

from __future__ import annotations

import os
from pathlib import Path

from starlette.types import Receive, Scope, Send

from benchmarks.baselines.server import serve


class Constant:
    """Answers `?rows=N` with the file `N.json` of a folder."""

    def __init__(self, folder: Path) -> None:
        self._answers = {f"rows={path.stem}".encode(): path.read_bytes() for path in folder.glob("*.json")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        query = scope["query_string"]
        body = self._answers[query]
        if query != b"rows=1":
            while (await receive()).get("more_body"):
                pass
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    serve(Constant(Path(os.environ["BENCH_ANSWERS"])))
