"""The error of this room."""

from __future__ import annotations


class ScoringError(Exception):
    """Files cannot be scored; the message names the file, and says what was expected and what to do."""
