"""The options of a prediction, as they travel in query and headers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a prediction; None leaves them to the service.

    Attributes:
        version: version that answers; by default the active one.
        strict: refuse rows with a value that is unseen, outside the training range, or missing in a column that had no
            gaps in training.
        threshold: answer the second of two classes from this probability on.
        decision: `argmax` answers the most probable class.
        explain: add what each column contributed; a mapping says more, such as `{"top": 3}`.
        confidence: add a set of classes, or an interval, that holds the truth with this probability.
        abstain: when nothing is decided, such as `{"below": 0.8}`; False for never, whatever the version says.
        ignore_extra: ignore columns that the model does not know; otherwise they are refused by name.
        encoding: of a file.
        receipts: add a receipt to each row, for feedback later.
        id_column: column with ids of your own, for feedback later.
    """

    version: int | None = None
    strict: bool | None = None
    threshold: float | None = None
    decision: Literal["argmax"] | None = None
    explain: bool | Mapping[str, Any] | None = None
    confidence: float | None = None
    abstain: Mapping[str, Any] | Literal[False] | None = None
    ignore_extra: bool = False
    encoding: str = "utf-8"
    receipts: bool = False
    id_column: str | None = None

    @property
    def long(self) -> bool:
        """Return whether each row takes long to answer."""
        return bool(self.explain)

    def headers(self) -> dict[str, str]:
        """Return what is said in the headers of the request."""
        return {"x-prediction-receipt": "1"} if self.receipts else {}

    def query(self) -> dict[str, str]:
        """Return what is said in the query of the request."""
        said: dict[str, Any] = {"strict": self.strict, "threshold": self.threshold, "decision": self.decision}
        said |= {"confidence": self.confidence, "ignore_extra": self.ignore_extra or None}
        said |= {"id_column": self.id_column}
        if self.explain:
            said["explain"] = True
            further = self.explain if isinstance(self.explain, Mapping) else {}
            said |= {f"explain_{name}": value for name, value in further.items()}
        if self.abstain is not None:
            further = self.abstain or {}
            said |= {f"abstain_{name}": value for name, value in further.items()} or {"abstain": False}
        words = {True: "true", False: "false"}
        return {
            name: words[value] if isinstance(value, bool) else str(value)
            for name, value in said.items()
            if value is not None
        }
