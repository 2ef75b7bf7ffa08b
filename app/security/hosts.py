"""Exposure of the service by its settings: scopes of callers without a key, and host names.

This module must not know requests.
"""

from __future__ import annotations

import ipaddress
import re

from app.errors import ConfigurationError
from app.security.errors import HostNotServed
from app.security.keys import KeyFile, Scope
from app.settings import Settings

_PORT = re.compile(rb":[0-9]{0,5}$")
_HOST = re.compile(rb"[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")


def scopes_without_key(settings: Settings) -> frozenset[Scope]:
    """Return the scopes of callers without a key.

    They are those of the settings. By default there are none with a key file, and all without one, which is permitted
    only on a loopback address.

    Raises:
        ConfigurationError: if the service would be open to other machines without an explicit setting.
    """
    if settings.anonymous is not None:
        return frozenset(Scope(name) for name in settings.anonymous.split(",") if name)
    if settings.keys_file is not None:
        return frozenset()
    if not is_loopback(settings.host):
        raise ConfigurationError(
            f"TABSERVE_HOST={settings.host} can be reached from other machines: set TABSERVE_KEYS_FILE "
            "(python -m app keys create makes one), or TABSERVE_ANONYMOUS=predict to let strangers predict"
        )
    return frozenset(Scope)


def check_exposure(settings: Settings) -> None:
    """Check keys and exposure before anything is started or trained.

    Raises:
        ConfigurationError: if the keys cannot be used, or the service would be open without an explicit setting.
    """
    scopes_without_key(settings)
    if settings.keys_file is not None:
        KeyFile(settings.keys_file).read()


def is_loopback(host: str) -> bool:
    """Return whether a listening address is reachable from this machine only; the only such name is localhost."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


class Hosts:
    """The host names that the service answers for.

    A page in a browser can make a name of its own domain resolve to 127.0.0.1, and then talk to a service there that
    needs no key (DNS rebinding). It cannot do so with a bare address or a name without a dot. So without keys and
    without a list of names, only these are answered.
    """

    def __init__(self, settings: Settings) -> None:
        self._named = frozenset(name.lower().encode() for name in settings.allowed_hosts.split(",") if name)
        self._last: bytes | None = None  # the last accepted header: most requests send the same one
        self._all = not self._named and (settings.keys_file is not None or not is_loopback(settings.host))

    def check(self, host: bytes | None) -> None:
        """Check a Host header.

        Args:
            host: the header; HTTP/1.0 may have none.

        Raises:
            HostNotServed: if it is not a name of this service.
        """
        if host is None or host == self._last:
            return
        name = _PORT.sub(b"", host)
        if not _HOST.fullmatch(name):
            raise HostNotServed
        name = name.lower().rstrip(b".")
        if not (self._all or (name in self._named if self._named else _cannot_be_pretended(name))):
            raise HostNotServed
        self._last = host


def _cannot_be_pretended(name: bytes) -> bool:
    if b"." not in name or name.endswith(b".localhost"):
        return True
    try:
        ipaddress.ip_address(name.strip(b"[]").decode())
    except ValueError:
        return False
    return True
