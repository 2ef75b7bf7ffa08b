"""A line in the log for every request that was answered, where that is wanted; never what it said or was told."""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)


class RequestLog:
    """Writes the lines; there is none of these where nobody asked for them."""

    def __init__(self) -> None:
        """Let the lines through, whatever the level of other records."""
        logger.setLevel(logging.INFO)

    def answered(
        self,
        *,
        request_id: str,
        method: str,
        route: str,
        path: str,
        status: int,
        took_s: float,
        sent_bytes: int,
        key_id: str | None,
        peer: str,
    ) -> None:
        """Say what became of one request.

        Args:
            request_id: of the answer.
            method: one of the usual, or `other`.
            route: template of the path, or `unmatched`.
            path: as it was asked for.
            status: of the answer; 499 if the client went away first.
            took_s: from the head of the request to the end of the answer.
            sent_bytes: of the answer's body.
            key_id: of the key that was accepted, if one was.
            peer: address of the other end of the connection.
        """
        fields = {
            "request_id": request_id,
            "method": method,
            "route": route,
            "path": path,
            "status": status,
            "duration_ms": round(took_s * 1000, 3),
            "bytes": sent_bytes,
            "key": key_id,
            "peer": peer,
        }
        logger.info("answered", extra=fields)

    def refused(self, *, request_id: str, status: int, sent_bytes: int, peer: str) -> None:
        """Say that something was answered that never became a request: of what it was, nothing is known for sure."""
        self.answered(
            request_id=request_id,
            method="other",
            route="unmatched",
            path="",
            status=status,
            took_s=0.0,
            sent_bytes=sent_bytes,
            key_id=None,
            peer=peer,
        )
