"""A request that changes something, on record twice: before it is begun, and before its answer goes out.

So whatever was answered is on record with its outcome, and nothing is done that is not; a request that is asked for and
has no outcome was cut off by the end of the process. It must not know routes.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

import orjson

from app.errors import AuditUnavailable
from app.security.audit.trail import AuditTrail
from app.security.audit.watch import Watch

logger = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 1 << 20
NOBODY_KNOWS = (499, 504)  # the client went away, or its deadline passed: what a thread had begun may be done

# What is taken over from an answer, and its name on record.
_TOLD = {
    "id": "job",
    "model": "model",
    "dataset": "dataset",
    "version": "version",
    "sha256": "sha256",
    "data_sha256": "data_sha256",
    "retry_of": "retry_of",
}
_NAMED = {"name": "dataset", "job_id": "job"}  # in paths
_NUMBER = re.compile(r"[0-9]{1,9}")
_PROBLEM = "urn:tabserve:problem:"

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


class AuditedRequest:
    """One request; an ASGI `send` that stands before the server's."""

    def __init__(self, trail: AuditTrail, action: str, fields: dict[str, object], send: Send) -> None:
        """Store the parts.

        Args:
            trail: the record.
            action: what is asked for.
            fields: who asks, and for what.
            send: of the server.
        """
        self._trail = trail
        self._action = action
        self._fields = fields
        self.send = send
        self._head: Message | None = None
        self._begun = False

    async def begin(self) -> None:
        """Put on record what is asked for.

        Raises:
            AuditUnavailable: then it must not be done.
        """
        await self._trail.record(self._action, "asked", **self._fields)
        self._begun = True

    async def __call__(self, message: Message) -> None:
        """Pass a message of the answer on; its head waits for the body, which tells more, and both for the record."""
        if message["type"] == "http.response.start" and self._begun:
            self._head = message
            return
        if self._head is not None:
            head, self._head = self._head, None
            await self._end(head["status"], head["headers"], message.get("body", b""))
            await self.send(head)
        await self.send(message)

    def abandon(self) -> None:
        """Put on record that nobody was told how it ended, unless somebody was."""
        if self._begun:
            self._trail.note(self._action, "unknown", reason="client-gone", **self._fields)

    async def _end(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
        self._begun = False
        outcome = "ok" if status < 400 else "refused" if status < 500 else "failed"
        outcome = "unknown" if status in NOBODY_KNOWS else outcome
        fields = self._fields | {"status": status} | _told(dict(headers).get(b"content-type", b""), body)
        try:
            await self._trail.record(self._action, outcome, **fields)
        except AuditUnavailable as error:  # it is done, and was asked for on record: the truth is the better answer
            logger.error("the outcome of %s, %s, is not on record", self._action, outcome, exc_info=error)


def _told(content_type: bytes, body: bytes) -> dict[str, object]:
    """Return what an answer tells about what was done, or why it was not."""
    if b"json" not in content_type or not 0 < len(body) <= MAX_ANSWER_BYTES:
        return {}
    document = orjson.loads(body)
    if not isinstance(document, dict):
        return {}
    if (kind := str(document.get("type", ""))).startswith(_PROBLEM):
        return {"reason": kind.removeprefix(_PROBLEM)}
    told = {_TOLD[name]: value for name, value in document.items() if name in _TOLD}
    return {name: value for name, value in told.items() if isinstance(value, str | int)}


class Auditor:
    """What the edge needs of the record."""

    def __init__(self, trail: AuditTrail, watch: Watch, digest_of: Callable[[str, str], str | None]) -> None:
        """Store the parts.

        Args:
            trail: the record.
            watch: counts who was refused.
            digest_of: returns the sha256 of a version's artifact, given as model and version; reads the disk.
        """
        self._trail = trail
        self._watch = watch
        self._digest_of = digest_of

    def refused(self, reason: str, peer: str, key_id: str | None) -> None:
        """Count a request that was refused for its key."""
        self._watch.count(peer, reason, key_id)

    async def begin(
        self, action: str, send: Send, names: Mapping[str, str], caller: Mapping[str, object]
    ) -> AuditedRequest:
        """Put a request on record and return it; its answer goes out through it.

        Args:
            action: what is asked for.
            send: of the server.
            names: what its path names.
            caller: who asks: `request_id`, `key`, `scope`, `peer`.

        Raises:
            AuditUnavailable: then it must not be done.
        """
        fields: dict[str, object] = {**caller}
        for name, value in names.items():
            fields[_NAMED.get(name, name)] = int(value) if _NUMBER.fullmatch(value) else value
        if "model" in names and "version" in names:
            fields["sha256"] = await asyncio.to_thread(self._digest_of, names["model"], names["version"])
        audited = AuditedRequest(self._trail, action, fields, send)
        await audited.begin()
        return audited
