"""A study: settings that were tried, shared over one database; Optuna draws them.

It must not know learners.
"""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError, SQLAlchemyError

from modelstore.search import Trial
from training.errors import MissingExtra, StudyUnavailable

if TYPE_CHECKING:
    import optuna

HEARTBEAT_S, GRACE_S = 5, 30  # a process that has not said for so long that it lives has ended
LOCK_S = 60
OPENINGS, ATTEMPTS_APART_S = 10, 0.3
SCHEMA = "tabserve_search"  # the tables are Optuna's; one of them has the name of one of the job table's
SETTINGS, GIVEN_BACK = "settings", "given_back"
_UNHEARD = sa.text(
    "SELECT trials.number FROM trials JOIN studies USING (study_id) LEFT JOIN trial_heartbeats USING (trial_id) "
    "WHERE study_name = :name AND trials.state = 'RUNNING' AND trial_heartbeats.trial_id IS NULL"
)

JSONObject = dict[str, object]


class Attempt(NamedTuple):
    """How a study tries settings.

    Attributes:
        draw: draws settings.
        is_affordable: returns whether the last of these settings may be tried, too.
        judge: returns the loss of settings; None if no model could be fitted.
    """

    draw: Callable[[optuna.Trial], JSONObject]
    is_affordable: Callable[[list[JSONObject]], bool]
    judge: Callable[[JSONObject], float | None]


class Standing(NamedTuple):
    """How many settings have been tried, and how many are being tried by other processes."""

    tried: int
    running: int


class _GivenBack(Exception):
    """Settings are not tried by this process after all."""


class Study:
    """The settings tried for one training; the first ones are empty: those of the training itself.

    What is drawn next depends on the seed and on what was tried before, so one process alone always tries the same.
    """

    def __init__(self, database: str | Path, name: str, seed: int) -> None:
        """Open the study, or begin it.

        Args:
            database: URL of a PostgreSQL database, or path of an SQLite file; tables are made if they are missing.
            name: of the study.
            seed: seed of the draws.

        Raises:
            MissingExtra: if Optuna is not installed.
            StudyUnavailable: if the database cannot be used.
        """
        try:
            import optuna  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise MissingExtra("search", "search") from error
        self._optuna, self._seed, self._failed = optuna, seed, optuna.trial.TrialState.FAIL
        self._unheard: dict[int, float] = {}  # trials that have had no heartbeat yet, and since when
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with self._available():
            self._storage = _open(database)
            self._study = optuna.create_study(storage=self._storage, study_name=name, load_if_exists=True)

    def close(self) -> None:
        """Close the connections."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def standing(self) -> Standing:
        """Return how far the search is, after the settings of processes that have ended were given back.

        Raises:
            StudyUnavailable: if the database cannot be used now.
        """
        with self._available():
            self._optuna.storages.fail_stale_trials(self._study)
            self._fail_unheard_trials()
            states = [trial.state for trial in self._taken()]
        ended = sum(state.is_finished() for state in states)
        return Standing(ended, len(states) - ended)

    def trials(self) -> tuple[Trial, ...]:
        """Return all settings that were tried, in the order in which they were drawn.

        Raises:
            StudyUnavailable: if the database cannot be used now.
        """
        with self._available():
            ended = [trial for trial in self._taken() if trial.state.is_finished()]
        return tuple(Trial(settings=trial.user_attrs[SETTINGS], loss=trial.value) for trial in ended)

    def try_next(self, wanted: int, attempt: Attempt) -> bool:
        """Draw settings and judge them; return False if they are too many for the budget.

        Where other processes have drawn the last of the wanted settings, or the same ones, nothing is tried.

        Args:
            wanted: number of settings of the study.
            attempt: how to draw and judge.

        Raises:
            StudyUnavailable: if the database cannot be used now.
            Exception: any exception of `attempt`, after which the settings will be drawn again.
        """
        refused: list[JSONObject] = []
        run = partial(self._run, wanted=wanted, attempt=attempt, refused=refused)
        with self._available():
            self._study.optimize(run, n_trials=1, catch=(_GivenBack,))
        return not refused

    def _fail_unheard_trials(self) -> None:
        """Fail trials whose process ended before their first heartbeat, which Optuna never gives up."""
        with self._storage.engine.connect() as connection:
            numbers = connection.execute(_UNHEARD, {"name": self._study.study_name}).scalars().all()
        now = time.monotonic()
        self._unheard = {number: self._unheard.get(number, now) for number in numbers}
        for number, since in self._unheard.items():
            if now - since > GRACE_S:
                with contextlib.suppress(self._optuna.exceptions.UpdateFinishedTrialError):  # another process did
                    self._study.tell(number, state=self._failed, skip_if_finished=True)

    def _run(self, trial: optuna.Trial, wanted: int, attempt: Attempt, refused: list[JSONObject]) -> float:
        """Try the settings of one trial; add them to `refused` if they are too many for the budget."""
        try:
            if sum(one.number < trial.number for one in self._taken()) >= wanted:
                raise self._give_back(trial)
            settings = self._draw(trial, attempt)
            trial.set_user_attr(SETTINGS, settings)  # before a look at the others: of two equal ones, both may end
            others = [one.user_attrs.get(SETTINGS) for one in self._taken() if one.number != trial.number]
            if settings in others:
                raise self._give_back(trial)
            if not attempt.is_affordable([*(other for other in others if other is not None), settings]):
                refused.append(settings)
                raise self._give_back(trial)
            loss = attempt.judge(settings)
        except (Exception, KeyboardInterrupt):  # Optuna ends the trial
            raise
        except BaseException:  # as a stop signal raises it
            self._study.tell(trial, state=self._failed)
            raise
        if loss is None:
            raise self._optuna.TrialPruned
        return loss

    def _draw(self, trial: optuna.Trial, attempt: Attempt) -> JSONObject:
        """Draw settings with a seed that ignores interrupted trials, so that these are drawn again."""
        earlier = self._study.get_trials(deepcopy=False)[: trial.number]
        place = sum(one.state != self._failed or GIVEN_BACK in one.user_attrs for one in earlier)
        if not place:
            return {}
        (seed,) = np.random.SeedSequence((self._seed, place)).generate_state(1).tolist()
        self._study.sampler = self._optuna.samplers.TPESampler(seed=seed)
        return attempt.draw(trial)

    def _give_back(self, trial: optuna.Trial) -> _GivenBack:
        trial.set_user_attr(GIVEN_BACK, value=True)
        return _GivenBack()

    def _taken(self) -> list[optuna.trial.FrozenTrial]:
        """Return the trials that have ended, or are running."""
        return [trial for trial in self._study.get_trials(deepcopy=False) if trial.state != self._failed]

    @contextlib.contextmanager
    def _available(self) -> Iterator[None]:
        """Turn errors of the database into one that does not repeat its address, which has a password.

        Raises:
            StudyUnavailable.
        """
        experimental = self._optuna.exceptions.ExperimentalWarning  # of heartbeats
        try:
            with warnings.catch_warnings(action="ignore", category=experimental):
                yield
        except (SQLAlchemyError, self._optuna.exceptions.StorageInternalError) as error:
            raise StudyUnavailable from error


def _open(database: str | Path) -> optuna.storages.RDBStorage:
    """Return the storage with its tables; another attempt is made if another process makes them at the same time."""
    import optuna  # noqa: PLC0415

    for attempt in range(1, OPENINGS + 1):
        try:
            url, arguments = _connect(database)
            return optuna.storages.RDBStorage(
                url,
                engine_kwargs={"connect_args": arguments, "hide_parameters": True},
                heartbeat_interval=HEARTBEAT_S,
                grace_period=GRACE_S,
            )
        except (IntegrityError, ProgrammingError, OperationalError) as error:
            exists = not isinstance(error, OperationalError) or "already exists" in str(error)
            if not exists or attempt == OPENINGS:
                raise
            time.sleep(ATTEMPTS_APART_S)
    raise AssertionError("the last attempt returns or raises")


def _connect(database: str | Path) -> tuple[str, dict[str, object]]:
    """Return URL and arguments of connections; in PostgreSQL, make the schema of the tables if it is missing."""
    if isinstance(database, Path):
        database.parent.mkdir(parents=True, exist_ok=True)
        return sa.URL.create("sqlite", database=str(database)).render_as_string(), {"timeout": LOCK_S}
    engine = sa.create_engine(database, hide_parameters=True)
    with contextlib.ExitStack() as opened:
        opened.callback(engine.dispose)
        opened.enter_context(engine.begin()).execute(sa.schema.CreateSchema(SCHEMA, if_not_exists=True))
    return database, {"options": f"-c search_path={SCHEMA}"}
