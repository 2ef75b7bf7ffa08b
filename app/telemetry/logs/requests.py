"""Access log: one line for every answered request, without its body or the answer's."""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)


class RequestLog:
    """Write the access log; created only if the settings enable it."""

    def __init__(self) -> None:
        """Enable these lines, whatever the log level of other records."""
        logger.setLevel(logging.INFO)

    def log_response(
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
        """Log one request.

        Args:
            request_id: id that the response carries.
            method: a common HTTP method, or `other`.
            route: template of the path, or `unmatched`.
            path: path as requested.
            status: status of the response; 499 if the client disconnected first.
            took_s: time from the request's headers to the end of the response.
            sent_bytes: size of the response's body.
            key_id: id of the key that was accepted, if any.
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

    def log_refusal(self, *, request_id: str, status: int, sent_bytes: int, peer: str) -> None:
        """Log a response to input that could not be parsed as a request, so nothing about the request is known."""
        self.log_response(
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
