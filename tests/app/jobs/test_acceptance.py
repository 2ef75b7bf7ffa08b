"""Which requests become jobs, and what is said to the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.datasets.store import DatasetStore
from app.errors import InvalidInput, StoreUnavailable
from app.jobs import acceptance
from app.jobs.acceptance import Acceptance
from app.jobs.database import Database
from app.jobs.errors import RecipeNotFound, RepositoryReadOnly
from app.jobs.kept import KeptStore
from app.jobs.labelled import LabelledRows
from app.jobs.records import TrainingJob, TrainingRequest
from app.jobs.store import JobStore
from app.jobs.threads import InThread
from app.settings import Settings
from modelstore import DecisionPolicy, Dialect, ModelRepository, Overrides

RECIPE = '[data]\nfile = "{0}.csv"\ntarget = "kind"\n[training]\npatience = 5\nvalidation_fraction = 0.1\n'


async def ask(function: Callable[..., Any], /, *arguments: object) -> Any:
    return function(*arguments)


class Scene:
    """The validation of requests, with the recipes `iris` and `blobs`, and how many jobs were accepted."""

    def __init__(self, settings: Settings, database: Database, **changes: object) -> None:
        self.settings = settings.model_copy(update={"recipes_dir": settings.state_dir / "recipes", **changes})
        self.settings.recipes_dir.mkdir(parents=True)
        for name in ("iris", "blobs"):
            self.write(name, f'model = "{name}"\n{RECIPE.format(name)}')
        self.accepted = 0
        self.store, self.database = JobStore(database), database

    def write(self, name: str, text: str) -> None:
        (self.settings.recipes_dir / f"{name}.toml").write_text(text)

    def accept(self, model: str, key: str | None = None, **fields: Any) -> TrainingJob:
        return asyncio.run(self.made().accept(TrainingRequest(model=model, **fields), key))

    def made(self, ask: InThread = ask) -> Acceptance:
        repository, folder = ModelRepository(self.settings.models_dir), self.settings.datasets_dir
        datasets = DatasetStore(folder, 1 << 20, self._inspect)
        labelled = LabelledRows(KeptStore(self.database), repository)
        return Acceptance(self.settings, repository, datasets, self.store, labelled, ask=ask, accepted=self._count)

    def _count(self) -> None:
        self.accepted += 1

    async def _inspect(self, _file: Path, _dialect: Dialect) -> Any:
        raise AssertionError("no data set is sent here")


@pytest.fixture
def scene(settings: Settings, database: Database) -> Scene:
    return Scene(settings, database)


def test_request_with_a_recipe_becomes_a_job_and_it_is_said_once(scene: Scene) -> None:
    job = scene.accept("iris")

    assert (job.model, scene.store.get(job.id), scene.accepted) == ("iris", job, 1)


def test_request_with_the_key_of_an_earlier_one_is_its_job(scene: Scene) -> None:
    job = scene.accept("iris", "once")

    assert scene.accept("iris", "once").id == job.id
    assert scene.accepted == 1


def test_model_without_a_recipe_is_told_those_with_one(scene: Scene) -> None:
    scene.write("iris-tutorial", f'model = "iris"\n{RECIPE}')  # a variant, not a model
    scene.write("broken", "no TOML")  # its training says what is wrong

    with pytest.raises(RecipeNotFound, match=r"there are recipes for blobs, broken, iris$"):
        scene.accept("cancer")

    assert scene.accepted == 0


def test_settings_that_contradict_the_recipe_are_refused(scene: Scene) -> None:
    with pytest.raises(InvalidInput):
        scene.accept("iris", overrides=Overrides(validation_fraction=0.0))


def test_nothing_is_accepted_for_a_store_that_cannot_be_written(settings: Settings, database: Database) -> None:
    settings.models_dir.touch()  # a file, which not even root may write as a folder

    with pytest.raises(RepositoryReadOnly):
        Scene(settings, database).accept("iris")


def test_process_that_runs_no_trainings_need_not_write_the_store(settings: Settings, database: Database) -> None:
    settings.models_dir.touch()

    assert Scene(settings, database, train_concurrency=0).accept("iris").model == "iris"


def test_request_for_which_no_turn_comes_is_told_to_come_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptance, "TURN_DEADLINE_S", 0.01)

    async def crowd() -> None:
        free = asyncio.Event()

        async def stuck(function: Callable[..., Any], /, *arguments: object) -> Any:
            await free.wait()
            return function(*arguments)

        made = scene.made(stuck)
        first = [
            asyncio.create_task(made.accept(TrainingRequest(model="iris"), "k")) for _ in range(acceptance.AT_ONCE)
        ]
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable, match="too many trainings are asked for at a time"):
            await made.accept(TrainingRequest(model="blobs"))
        free.set()
        await asyncio.gather(*first)

    asyncio.run(crowd())


def test_a_figure_that_is_to_be_largest_needs_rows_on_which_it_is_measured(scene: Scene) -> None:
    wanted = DecisionPolicy(maximise="f1")

    with pytest.raises(InvalidInput, match="a validation_fraction above 0 for a decision that maximises a figure"):
        scene.accept("iris", decision=wanted, overrides=Overrides(patience=0, validation_fraction=0))

    assert scene.accept("iris", decision=wanted, overrides=Overrides(learner="linear")).request.decision == wanted
    assert scene.accept("blobs", decision=wanted).request.decision == wanted


def test_recipe_with_the_gate_metric_of_another_task_is_refused(scene: Scene) -> None:
    recipe = RECIPE.format("iris").replace("[data]", '[gate]\nmetric = "rmse"\n[data]\ntask = "classification"')
    scene.write("iris", f'model = "iris"\n{recipe}')

    with pytest.raises(InvalidInput, match=r"gate\.metric must be log_loss, since its task is classification"):
        scene.accept("iris")

    assert scene.accepted == 0
