"""One published version as an ASGI app, for programs that predict without a service.

It answers `GET /models/...` and `POST /predict/...` of that version with the code of the service, so with the same
bits if the same engine answers. It must not know sockets.
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

from fastapi import Response
from starlette.types import Receive, Scope, Send

from app.api import error_responses
from app.api.routes.predict import Negotiation
from app.api.schemas.model_views import version_info
from app.inference.additions.explanation import Explainer
from app.runtime import devices
from app.runtime import load as runtime
from app.scoring.version import find_version, open_version
from app.settings import Settings


class LocalService:
    """Answer requests for one version; open it before, in the event loop that calls it.

    Attributes:
        name: name of the model.
        version: number of the version.
    """

    def __init__(
        self, folder: Path, key_file: Path | None = None, device: str = "cpu", engine: str | None = None
    ) -> None:
        """Find a version; nothing is loaded yet.

        Args:
            folder: folder of the version, such as `models/iris/3`, or of its model, whose active (else newest) version
                is used then.
            key_file: file of the signing keys, if the version must be signed.
            device: where the model runs: `cpu`, `cuda`, `mps` or `auto`.
            engine: name of the one engine that may answer, such as `cpu`; None for the quickest.

        Raises:
            FileNotFoundError: if there is no version.
            InvalidKey: if the key file cannot be used.
        """
        self._found = find_version(folder, key_file)
        self.name, self.version = self._found.name, self._found.version
        self._load = partial(runtime.load, device=devices.choose_device(device), engine=engine)

    async def open(self) -> None:
        """Load and verify the version.

        Raises:
            ModelNotReady: with the reason, if it fails its checks.
        """
        settings = Settings.model_construct()
        opened = await open_version(self._found, self._load, settings, Explainer(settings.max_explanation_rows))
        self.registry = opened.registry
        info = version_info(self.registry, self.name, self.version)
        self._info = info.model_dump_json(by_alias=True)  # now, as the folder may be gone later
        # httpx hands over an answer once it is complete, so none is begun before all rows are known to be valid.
        self._negotiation = Negotiation(opened.pipeline, settings.max_answer_bytes_waiting, math.inf)

    async def close(self) -> None:
        """End its thread."""
        self.registry.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; the path's method decides which."""
        try:
            if scope["method"] == "GET":
                await Response(self._info, media_type="application/json")(scope, receive, send)
                return
            with devices.one_thread():
                await self._negotiation.serve(scope, receive, send, {"model": self.name})
        except Exception as error:
            status, body, headers = error_responses.log_and_render(error, "", scope["path"])
            await send({"type": "http.response.start", "status": status.value, "headers": headers})
            await send({"type": "http.response.body", "body": body})
