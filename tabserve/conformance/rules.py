"""Rules of the protocol, and what a server did about each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tabserve.errors import TabserveError

Outcome = Literal["kept", "broken", "skipped"]

REST = "Open Inference Protocol, REST"
MOST_CHARACTERS = 500  # of a detail, which repeats what the server said
GRPC = "Open Inference Protocol, gRPC"


class RuleBroken(Exception):
    """A server broke the rule that is being checked; the text says how."""


class CannotCheck(Exception):
    """A rule cannot be checked with this server or model; the text says why."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        name: what people call it.
        says: what a server must do.
        source: the specification and its section.
        check: raises RuleBroken or CannotCheck.
    """

    name: str
    says: str
    source: str
    check: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a server did about a rule.

    Attributes:
        name, says, source: those of the rule.
        outcome: whether it was kept.
        detail: how it was broken, or why it was skipped; else empty.
    """

    name: str
    says: str
    source: str
    outcome: Outcome
    detail: str = ""

    def document(self) -> dict[str, Any]:
        """Return the finding as JSON."""
        return asdict(self)


def check_all(rules: list[Rule]) -> Iterator[Finding]:
    """Check the rules in their order, and yield what was found of each at once.

    Raises:
        TabserveError: if none can be checked.
    """
    for rule in rules:
        outcome: Outcome = "kept"
        detail = ""
        try:
            rule.check()
        except RuleBroken as error:
            outcome, detail = "broken", str(error)
        except CannotCheck as error:
            outcome, detail = "skipped", str(error)
        except TabserveError:
            raise
        except Exception as error:
            outcome, detail = "broken", f"the answer has another form ({type(error).__name__}: {error})"
        yield Finding(rule.name, rule.says, rule.source, outcome, detail[:MOST_CHARACTERS])


def require(holds: object, said: str) -> None:
    """Report the rule being checked as broken unless a condition holds.

    Raises:
        RuleBroken.
    """
    if not holds:
        raise RuleBroken(said)
