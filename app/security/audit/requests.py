"""Record a request that changes something, before it starts and before its response is sent.

Hence every such request is recorded before it takes effect, and its outcome before it is answered; a request without
an outcome was cut off by the end of the process. This module must not know routes.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

import orjson

from app.security.audit.trail import AuditTrail
from app.security.audit.watch import Watch
from app.security.errors import AuditUnavailable

logger = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 1 << 20
UNKNOWN_OUTCOME = (499, 504)  # the client disconnected, or its deadline passed: a thread may still complete the work

# Fields copied from a response, and their names in the record.
_RECORDED_FIELDS = {
    "id": "job",
    "model": "model",
    "dataset": "dataset",
    "version": "version",
    "sha256": "sha256",
    "data_sha256": "data_sha256",
    "retry_of": "retry_of",
    "search_of": "search_of",
}
_NAMED = {"name": "dataset", "job_id": "job"}  # path parameters
_NUMBER = re.compile(r"[0-9]{1,9}")
_PROBLEM = "urn:tabserve:problem:"

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


class AuditedRequest:
    """One audited request; an ASGI `send` that wraps the server's."""

    def __init__(self, trail: AuditTrail, action: str, fields: dict[str, object], send: Send) -> None:
        self._trail = trail
        self._action = action
        self._fields = fields
        self.send = send
        self._head: Message | None = None
        self._begun = False

    async def begin(self) -> None:
        """Record the request.

        Raises:
            AuditUnavailable: if it cannot be recorded; it must not be carried out then.
        """
        await self._trail.record(self._action, "asked", **self._fields)
        self._begun = True

    async def __call__(self, message: Message) -> None:
        """Forward a message of the response.

        The start message is held back until the body arrives, which has details for the record, and both until the
        outcome is recorded.
        """
        if message["type"] == "http.response.start" and self._begun:
            self._head = message
            return
        if self._head is not None:
            head, self._head = self._head, None
            await self._end(head["status"], head["headers"], message.get("body", b""))
            await self.send(head)
        await self.send(message)

    def abandon(self) -> None:
        """Record an unknown outcome, unless the outcome was recorded."""
        if self._begun:
            self._trail.note(self._action, "unknown", reason="client-gone", **self._fields)

    async def _end(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
        self._begun = False
        outcome = "ok" if status < 400 else "refused" if status < 500 else "failed"
        outcome = "unknown" if status in UNKNOWN_OUTCOME else outcome
        fields = self._fields | {"status": status} | _extract_details(dict(headers).get(b"content-type", b""), body)
        try:
            await self._trail.record(self._action, outcome, **fields)
        except AuditUnavailable as error:  # the action is done, and its request was recorded: send the true response
            logger.error("the outcome of %s, %s, is not on record", self._action, outcome, exc_info=error)


def _extract_details(content_type: bytes, body: bytes) -> dict[str, object]:
    """Extract from a response what was done, or the reason why it was refused."""
    if b"json" not in content_type or not 0 < len(body) <= MAX_ANSWER_BYTES:
        return {}
    document = orjson.loads(body)
    if not isinstance(document, dict):
        return {}
    if (kind := str(document.get("type", ""))).startswith(_PROBLEM):
        return {"reason": kind.removeprefix(_PROBLEM)}
    named = {_RECORDED_FIELDS[name]: value for name, value in document.items() if name in _RECORDED_FIELDS}
    return {name: value for name, value in named.items() if isinstance(value, str | int)}


class Auditor:
    """Interface of the audit trail for the HTTP edge."""

    def __init__(self, trail: AuditTrail, watch: Watch, digest_of: Callable[[str, str], str | None]) -> None:
        """Create it; `digest_of` returns the sha256 of a version's artifact, by model and version; reads the disk."""
        self._trail = trail
        self._watch = watch
        self._digest_of = digest_of

    def count_refusal(self, reason: str, peer: str, key_id: str | None) -> None:
        """Count a request that was refused because of its key."""
        self._watch.count(peer, reason, key_id)

    async def begin(
        self, action: str, send: Send, names: Mapping[str, str], caller: Mapping[str, object]
    ) -> AuditedRequest:
        """Record a request and return it; its response must be sent through the returned object.

        `names` are the path parameters, and `caller` has `request_id`, `key`, `scope` and `peer`.

        Raises:
            AuditUnavailable: if it cannot be recorded; it must not be carried out then.
        """
        fields: dict[str, object] = {**caller}
        for name, value in names.items():
            fields[_NAMED.get(name, name)] = int(value) if _NUMBER.fullmatch(value) else value
        if "model" in names and "version" in names:
            fields["sha256"] = await asyncio.to_thread(self._digest_of, names["model"], names["version"])
        audited = AuditedRequest(self._trail, action, fields, send)
        await audited.begin()
        return audited
