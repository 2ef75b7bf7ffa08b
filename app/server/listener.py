"""The socket that strangers connect to: bound once, and closed in the end so that nobody who got in is lost.

It must not know who serves on it: one process, or several that inherited it.
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

# Variable with the descriptor of the listener that this process had before its program was started again.
HANDED_ON = "TABSERVE_LISTENER"

# Between refusing new connections and closing: the handshakes that were under way end, and what they brought is taken.
SETTLE_S = 0.2

# A program for the kernel's packet filter: drop what begins a connection (SYN without ACK), let all else pass.
_SYN_AND_ACK, _SYN = 0x12, 0x02
_FLAGS = 13  # their place in the TCP header
_FILTER = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, _FLAGS),  # load the byte
        (0x54, 0, 0, _SYN_AND_ACK),  # and
        (0x15, 0, 1, _SYN),  # jump if equal
        (0x06, 0, 0, 0),  # return: drop
        (0x06, 0, 0, 0xFFFFFFFF),  # return: pass
    )
)
_SO_ATTACH_FILTER = 26


def handed_on() -> socket.socket | None:
    """Return the listener of this process's former life, where others may wait to be accepted; None in the first."""
    descriptor = os.environ.pop(HANDED_ON, None)
    return socket.socket(fileno=int(descriptor)) if descriptor else None


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that is bound, and that processes which are started may inherit; nobody listens on it yet.

    Raises:
        ConfigurationError: naming the settings, if there is no such address here or it is taken.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except (OSError, UnicodeError) as error:
        listener.close()
        why = error.strerror if isinstance(error, OSError) else "it is no name of a host"
        raise ConfigurationError(f"TABSERVE_HOST={host}, TABSERVE_PORT={port}: {why}; choose another") from error
    listener.set_inheritable(True)
    return listener


def url(host: str, port: object) -> str:
    """Return the URL of what listens there; in one, an address of IPv6 stands in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def refuse_new(listener: socket.socket) -> None:
    """Let nobody connect any more, in any process that has this socket; who is connected, or nearly, stays so.

    Closing alone would reset those who are connected but were not accepted yet. Their number can be brought to zero
    only when no more come: the kernel drops the first packet of every new connection, which clients send again a second
    later, when the socket is closed, and are told that nobody listens. Elsewhere than on Linux a few may be reset.
    """
    if sys.platform == "linux":
        program = ctypes.create_string_buffer(_FILTER, len(_FILTER))
        described = struct.pack("HP", len(_FILTER) // 8, ctypes.addressof(program))
        with contextlib.suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)


def has_waiting(listener: socket.socket) -> bool:
    """Tell whether somebody is connected who was not accepted yet."""
    waiting = select.poll()
    waiting.register(listener, select.POLLIN)
    return bool(waiting.poll(0))
