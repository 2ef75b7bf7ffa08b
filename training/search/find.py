"""Find settings: try the training's own and others, and take the best by judging rows."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import time
from pathlib import Path
from typing import Literal

from modelstore import Notice
from modelstore.search import Search, Trial
from training.config.learner_settings import TrainingSettings
from training.config.recipe import Recipe
from training.data.splits import Splits
from training.errors import TrainingError
from training.learners.auto.progress import MemberReport
from training.learners.budget import ShouldEnd, TimeLimit, never
from training.learners.protocol import FAILURES, Event, Report
from training.outcome import sentence
from training.search.cost import network_s
from training.search.judge import Judge
from training.search.space import draw
from training.search.study import Attempt, JSONObject, Study

logger = logging.getLogger(__name__)

SPACE = 1  # counts changes of what is drawn and how it is judged: an older study has nothing to say about them
POLL_S = 0.5


def find_settings(
    recipe: Recipe, splits: Splits, database: str | Path, report: Report, should_end: ShouldEnd = never
) -> tuple[Recipe, Search]:
    """Return the recipe with the best settings of a search, and the record of it; test rows are not looked at.

    Settings that were tried before for the same training are not tried again.

    Args:
        recipe: with the number of settings to try.
        splits: its data.
        database: where tried settings are kept: URL of a PostgreSQL database, or path of an SQLite file.
        report: receives the settings as they are tried.
        should_end: whether to end soon with the best of the settings that were tried by then.

    Raises:
        MissingExtra: if Optuna is not installed.
        StudyUnavailable: if the database cannot be used.
        TrainingError: if no settings can be trained.
    """
    trying = _Trying(recipe, splits, report)
    with contextlib.closing(Study(database, _name_study(trying.base, recipe, splits), trying.base.seed)) as study:
        _try_all(study, trying, report, should_end)
        trials = study.trials()
    judged = {place: trial.loss for place, trial in enumerate(trials) if trial.loss is not None}
    if not judged:
        raise trying.failure or TrainingError("the search has found no settings that can be trained")
    best = min(judged, key=lambda place: judged[place])
    found = trials[best].text
    report(Notice(message=f"search: the best of {len(trials)} settings, {trying.metric} {judged[best]:.4f}: {found}"))
    record = Search(
        wanted=trying.wanted, metric=trying.metric, judged_by=trying.judge.describe(), trials=trials, best=best
    )
    return recipe.model_copy(update={"training": trying.settings_of(trials[best].settings)}), record


class _Trying:
    """What a search has to know to try settings.

    Attributes:
        base: the settings of each training, before what is drawn; without a search of their own.
        judge: of all settings.
        number: that of the next settings, for people.
        failure: why the last settings that could not be trained could not.
    """

    def __init__(self, recipe: Recipe, splits: Splits, report: Report) -> None:
        self.wanted, self.budget_s = recipe.training.search, recipe.training.budget_s
        self.base = _without_search(recipe.training)
        self.judge = Judge(splits.train, splits.way, self.base.seed)
        self.metric: Literal["log_loss", "rmse"] = "log_loss" if splits.train.classes else "rmse"
        self.number = 1
        self.failure: Exception | None = None
        self._train, self._report = splits.train, report

    def settings_of(self, drawn: JSONObject) -> TrainingSettings:
        """Return the settings of a training with what was drawn."""
        return TrainingSettings.model_validate_json(json.dumps({**self.base.model_dump(mode="json"), **drawn}))

    def attempt(self) -> Attempt:
        """Return how settings are drawn, refused and judged."""
        learner, task = self.base.learner, self._train.task
        return Attempt(lambda trial: draw(learner, task, trial), self._is_affordable, self._judge)

    def _is_affordable(self, settings: list[JSONObject]) -> bool:
        """Return whether the budget has room for these, and for the training of the last; two are always tried.

        Learners that plan by seconds get equal shares of it instead.
        """
        if self.budget_s is None or len(settings) <= 2 or self.base.budget_s is not None:
            return True
        planned_s = [network_s(self.settings_of(drawn), self._train) for drawn in settings]
        return sum(planned_s) * self.judge.trainings + planned_s[-1] <= self.budget_s

    def _judge(self, drawn: JSONObject) -> float | None:
        """Return the loss of settings, and report it; None if they cannot be trained."""
        place, what = f"search: {self.number} of {self.wanted}", Trial(settings=drawn).text
        try:
            loss = self.judge.judge(self.settings_of(drawn), MemberReport(self._pass_on, place))
        except FAILURES as error:
            logger.info("%s failed", place, exc_info=True)
            self.failure = error
            self._report(Notice(message=f"{place}, cannot be trained: {what} ({sentence(error)})"))
            return None
        self._report(Notice(message=f"{place}, {self.metric} {loss:.4f}: {what}"))
        return loss

    def _pass_on(self, event: Event) -> None:
        """Report a training's warnings and progress; its end is reported with its loss."""
        if isinstance(event, Notice) and (event.level == "warning" or event.message.startswith("search: ")):
            self._report(event)


def _try_all(study: Study, trying: _Trying, report: Report, should_end: ShouldEnd) -> None:
    """Try settings until as many are tried as are wanted, by all processes together, or the budget is used up."""
    time_limit = TimeLimit(trying.budget_s or math.inf, should_end)
    before, _ = study.standing()
    known = f", {before} of which are known" if before else ""
    report(Notice(message=f"search: {trying.wanted} settings{known}, each judged by {trying.judge.describe()}"))
    waits = False
    while (standing := study.standing()).tried < trying.wanted:
        trying.number = standing.tried + 1
        if standing.tried and (why := time_limit.why_over()):
            report(Notice(level="warning", message=f"search: ends after {standing.tried} settings, {why}"))
            return
        if sum(standing) >= trying.wanted:
            if not waits:
                report(Notice(message=f"search: waits for {standing.running} settings that other processes try"))
            waits = True
            time.sleep(POLL_S)
        elif not study.try_next(trying.wanted, trying.attempt()):
            allowed = f"budget_s = {trying.budget_s:g} allows no more"
            report(Notice(level="warning", message=f"search: ends after {standing.tried} settings: {allowed}"))
            return


def _without_search(settings: TrainingSettings) -> TrainingSettings:
    """Return the settings of each training; if it plans by seconds, with a share of the budget."""
    shares = settings.learner != "mlp" and settings.budget_s is not None
    share_s = max(1.0, settings.budget_s / (settings.search + 1)) if shares and settings.budget_s else None
    return settings.model_copy(update={"search": 0, "budget_s": share_s})


def _name_study(base: TrainingSettings, recipe: Recipe, splits: Splits) -> str:
    """Return a name that trainings share if they would try and judge the same settings alike."""
    same = [SPACE, splits.sha256, recipe.data.model_dump(mode="json"), base.model_dump(mode="json")]
    if splits.feedback:  # rows that are in no file
        same.append(hashlib.sha256(splits.train.marks.tobytes()).hexdigest())
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()
