"""Bind the listening socket, and close it without losing accepted or pending connections.

This module must not know whether one process serves on the socket or several that inherited it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import socket
import struct
import sys

from app.errors import ConfigurationError

# Environment variable with the descriptor of the listener that this process had before it restarted itself by exec.
HANDED_ON = "TABSERVE_LISTENER"

# Pause between refusing new connections and closing, in which pending handshakes finish and are accepted.
SETTLE_S = 0.2

# A program for the kernel's packet filter: drop packets that open a connection (SYN without ACK), pass all others.
_SYN_AND_ACK, _SYN = 0x12, 0x02
_FLAGS = 13  # byte offset of the flags in the TCP header
_FILTER = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, _FLAGS),  # load the byte
        (0x54, 0, 0, _SYN_AND_ACK),  # bitwise and
        (0x15, 0, 1, _SYN),  # jump if equal
        (0x06, 0, 0, 0),  # return: drop
        (0x06, 0, 0, 0xFFFFFFFF),  # return: pass
    )
)
_SO_ATTACH_FILTER = 26


def take_over_listener() -> socket.socket | None:
    """Return the listener that this process had before it restarted itself, or None at a first start.

    Connections may already wait on it to be accepted.
    """
    descriptor = os.environ.pop(HANDED_ON, None)
    return socket.socket(fileno=int(descriptor)) if descriptor else None


def bind_listener(host: str, port: int, setting: str = "TABSERVE_PORT") -> socket.socket:
    """Return a bound socket that child processes can inherit; it does not listen yet.

    Args:
        host: address of this machine.
        port: TCP port; 0 for any free one.
        setting: where the port comes from, for the error.

    Raises:
        ConfigurationError: naming the settings, if the address does not exist on this machine or is in use.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except (OSError, TypeError) as error:  # a TypeError for what cannot be written as a name
        listener.close()
        why = error.strerror if isinstance(error, OSError) else "it is no name of a host"
        raise ConfigurationError(f"TABSERVE_HOST={host}, {setting}={port}: {why}; choose another") from error
    listener.set_inheritable(True)
    return listener


def url(host: str, port: object) -> str:
    """Return the URL of a host and port; an IPv6 address is put in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def refuse_new(listener: socket.socket) -> None:
    """Refuse new connections in every process that has this socket; existing and pending ones are kept.

    Closing alone would reset connections that are established but not accepted yet. Their number reaches zero only if
    no more arrive, so the kernel drops the first packet of every new connection. Clients send it again a second later,
    when the socket is closed, and are refused. On systems other than Linux a few connections may be reset.
    """
    if sys.platform == "linux":
        program = ctypes.create_string_buffer(_FILTER, len(_FILTER))
        described = struct.pack("HP", len(_FILTER) // 8, ctypes.addressof(program))
        with contextlib.suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)


def has_waiting(listener: socket.socket) -> bool:
    """Tell whether an established connection waits to be accepted."""
    waiting = select.poll()
    waiting.register(listener, select.POLLIN)
    return bool(waiting.poll(0))
