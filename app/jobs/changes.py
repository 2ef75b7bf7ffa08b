"""Collect the changes of a running job that are not yet written to the job table.

This module must not know processes or tables.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from app.jobs.ownership import Report
from modelstore import EpochMetrics, JobResult, Notice, from_line
from modelstore.progress import SEARCH_ENDED, to_line

logger = logging.getLogger(__name__)

FINISH = "finish_requested"  # column of the request to end early

MAX_LINES_WAITING = 200_000  # most events to buffer while the table cannot be written


class Changes:
    """The changes of one job.

    Attributes:
        result: the result that its process reported, if any.
        warnings: the warnings among its notices, in order.
    """

    def __init__(self, job_id: str) -> None:
        self.result: JobResult | None = None
        self.warnings: list[str] = []
        self._job_id = job_id
        self._lines: deque[str] = deque(maxlen=MAX_LINES_WAITING)
        self._values: dict[str, Any] = {}
        self._progress: dict[str, Any] | None = None
        self._log: list[str] = []

    @property
    def heard(self) -> bool:
        """Whether the process has reported an event, after which it handles signals."""
        return self._progress is not None

    @property
    def renewed(self) -> bool:
        """Whether the process has ended its search, as it was asked, and the table does not say so yet."""
        return FINISH in self._values

    def hear(self, line: bytes) -> None:
        """Read one line of output: an event, or a result, of which the last one counts."""
        try:
            event = from_line(line)
        except ValidationError:
            logger.warning("training job %s said something that is no event", self._job_id)
            return
        if isinstance(event, JobResult):
            self.result = event
            return
        if isinstance(event, EpochMetrics):
            self._values["progress"] = self._progress = event.model_dump(mode="json")
        elif isinstance(event, Notice):
            if self._progress is None or self._progress["event"] == "notice":  # a learner without epochs
                self._values["progress"] = self._progress = event.model_dump(mode="json")
            if event.message == SEARCH_ENDED:
                self._values[FINISH] = False
            self.warnings += [event.message] if event.level == "warning" else []
            logger.info("training job %s: %s", self._job_id, event.message)
        self._lines.append(line.decode().strip())

    def tell(self, notice: Notice, *, starving: bool) -> None:
        """Add a notice of this process to the events, and show it as the progress while the training starves."""
        logger.info("training job %s: %s", self._job_id, notice.message)
        self._lines.append(to_line(notice))
        self._values["progress"] = notice.model_dump(mode="json") if starving else self._progress

    def set_version_before(self, version: int) -> None:
        """Note the version that was active when the training began."""
        self._values["version_before"] = version

    def report(self, log: Sequence[str], *, alive: bool = False) -> Report:
        """Return the changes that have not been written, with the log if it is another one."""
        values = dict(self._values) if list(log) == self._log else {**self._values, "log": list(log)}
        return Report(tuple(self._lines), values, alive)

    def forget(self, report: Report) -> bool:
        """Drop the changes that have been written, and return whether there were any; newer ones may have arrived."""
        for line in report.lines:
            if self._lines and self._lines[0] is line:  # else newer lines have pushed it out meanwhile
                self._lines.popleft()
        for name, value in report.values.items():
            if self._values.get(name) is value:
                del self._values[name]
        self._log = report.values.get("log", self._log)
        return bool(report.lines or report.values)
