"""Determine the path prefix under which a proxy serves the service, and build links with it.

A proxy may strip the prefix from the path or keep it; both work. The `X-Forwarded-Prefix` header is only honoured from
proxies that the settings trust; without it, the prefix from the settings is used, if any. This module must not know
routes.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Collection, MutableMapping
from typing import Any

from fastapi import Request

from app.errors import ConfigurationError

HEADER = b"x-forwarded-prefix"

_PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,63}){1,8}")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Prefixes:
    """The prefix from the settings and the proxies whose prefix header is trusted.

    Attributes:
        none: neither a prefix nor a trusted proxy is configured.
    """

    def __init__(self, root_path: str, trusted_proxies: str, own: Collection[str]) -> None:
        """Parse and check the settings.

        Args:
            root_path: prefix of requests without a trusted header; may be empty.
            trusted_proxies: addresses and networks, separated by commas, whose header is trusted.
            own: first segments of the service's own paths, with which no prefix may begin.

        Raises:
            ConfigurationError: if a setting cannot be used.
        """
        self._own = own
        self._root = root_path.rstrip("/")
        if self._root and not self._is_usable(self._root):
            raise ConfigurationError(
                f"TABSERVE_ROOT_PATH={root_path!r}: expected a path such as /tabserve that begins like none of the "
                "service's own"
            )
        self._networks = [_network(given) for given in trusted_proxies.split(",") if given]
        self._is_trusted = functools.lru_cache(maxsize=1024)(self._is_in_networks)
        self.none = not self._root and not self._networks

    def apply(self, scope: MutableMapping[str, Any]) -> None:
        """Strip the prefix from the path of a request, and set `root_path` in its scope for links."""
        prefix = self._read_forwarded(scope) or self._root
        path = scope["path"]
        for known in (prefix, self._root):
            if known and path.startswith(known + "/"):
                scope["path"] = path[len(known) :]
                break
        scope["root_path"] = prefix

    def _read_forwarded(self, scope: MutableMapping[str, Any]) -> str | None:
        """Return the prefix from the header, if it comes from a trusted proxy and is usable."""
        given = [value for name, value in scope["headers"] if name == HEADER]
        client = scope.get("client")
        if len(given) != 1 or not client or not self._is_trusted(client[0]):
            return None
        prefix: str = given[0].decode("latin-1").rstrip("/")
        return prefix if self._is_usable(prefix) else None

    def _is_usable(self, prefix: str) -> bool:
        return _PREFIX.fullmatch(prefix) is not None and prefix.split("/")[1] not in self._own

    def _is_in_networks(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None) or address
        return any(mapped in network for network in self._networks)


def _network(given: str) -> Network:
    try:
        return ipaddress.ip_network(given.strip())
    except ValueError as error:
        raise ConfigurationError(
            f"TABSERVE_TRUSTED_PROXIES={given!r}: expected addresses or networks by comma, such as 10.0.0.5,10.1.0.0/16"
        ) from error


def prefix_of(request: Request) -> str:
    """Return the path prefix under which a proxy serves the service, or an empty string."""
    return str(request.scope.get("root_path", ""))


def link(request: Request, path: str) -> str:
    """Return the path by which the client reaches a path of the service."""
    return prefix_of(request) + path
