"""Errors of models on the device."""

from __future__ import annotations

from app.errors import Conflict, Unavailable


class VersionRefused(Conflict):
    """A version failed verification on this device.

    Attributes:
        reason: stable code, such as `integrity_sha256` or `golden_mismatch`.
    """

    outcome = "error"

    def __init__(self, name: str, version: int, reason: str, detail: str) -> None:
        super().__init__(f"{name} version {version} was refused ({reason}): {detail}")
        self.name = name
        self.version = version
        self.reason = reason
        self.detail = detail


class DeviceLost(Unavailable):
    """The device that models run on failed, and only a restart of the process can recover it."""

    def __init__(self) -> None:
        super().__init__("the device that models run on is lost, the service starts again; try again in a moment")
