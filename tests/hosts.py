"""Hosts of one network for tests: network namespaces, each with a cable to a bridge."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Host:
    """A network namespace; its name is also that of its cable's end at the bridge."""

    name: str
    address: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """Return what runs a command on this host, with mounts of its own."""
        return ("ip", "netns", "exec", self.name)

    def cut_off(self) -> None:
        """Take the cable out: packets to and from the host are lost, and no connection is closed."""
        _ip("link", "set", self.name, "down")

    def reconnect(self) -> None:
        """Put the cable in again."""
        _ip("link", "set", self.name, "up")


@dataclass(frozen=True)
class Network:
    """Hosts that reach this machine at `address`, and that it reaches; `subnet` contains all of them."""

    address: str
    subnet: str
    hosts: tuple[Host, ...]


@contextlib.contextmanager
def network(hosts: int) -> Iterator[Network]:
    """Create a network of some hosts; skip the test where this user may not."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need root and iproute2; scripts/packages installs it")
    name = f"tab{secrets.token_hex(3)}"
    start = f"198.{18 + secrets.randbelow(2)}.{secrets.randbelow(256)}"  # RFC 2544: for tests, routed nowhere
    addresses = {f"{name}-{number}": f"{start}.{number}" for number in range(1, hosts + 1)}
    made = Network(f"{start}.254", f"{start}.0/24", tuple(Host(*each) for each in addresses.items()))
    with contextlib.ExitStack() as undo:
        try:
            _ip("link", "add", name, "type", "bridge")
            undo.callback(_ip, "link", "delete", name)
            _ip("address", "add", f"{made.address}/24", "dev", name)
            _ip("link", "set", name, "up")
            for host in made.hosts:
                _ip("netns", "add", host.name)
                undo.callback(_ip, "netns", "delete", host.name)
                _connect(host, name)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this user may not create network namespaces: {error.stderr.strip()}")
        yield made


def _connect(host: Host, bridge: str) -> None:
    _ip("link", "add", host.name, "type", "veth", "peer", "name", "eth0", "netns", host.name)
    _ip("link", "set", host.name, "master", bridge, "up")
    _ip("-netns", host.name, "address", "add", f"{host.address}/24", "dev", "eth0")
    for device in ("lo", "eth0"):
        _ip("-netns", host.name, "link", "set", device, "up")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
