"""What may be removed from the store, and who may publish: permits, removal, pruning, the version before."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from modelstore import InvalidName, ModelRepository, NotPermitted, Permit, UnknownVersion, VersionInUse
from tests.modelstore.samples import MODEL, publish_sample, sample_manifest, whole_versions


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    """Return a store with versions 1 to 4, of which none is active."""
    repository = ModelRepository(tmp_path / "models")
    for _ in range(4):
        publish_sample(repository)
    return repository


def publish_as(repository: ModelRepository, job: str, token: str) -> int:
    manifest = sample_manifest(MODEL)
    return repository.publish(manifest, MODEL, {"loss.png": b"a plot"}, Permit(job, token)).version


# Permits


def test_job_with_its_permit_publishes_as_often_as_it_likes(repository: ModelRepository) -> None:
    token = repository.permit("petals", "job1")
    assert [publish_as(repository, "job1", token) for _ in range(2)] == [5, 6]


@pytest.mark.parametrize("how", ["revoked", "given anew", "never given", "folder gone"])
def test_job_without_its_permit_publishes_nothing_and_spends_no_number(repository: ModelRepository, how: str) -> None:
    token = repository.permit("petals", "job1")
    match how:
        case "revoked":
            repository.revoke("petals", "job1")
        case "given anew":
            repository.permit("petals", "job1")
        case "never given":
            token = "0" * 32
        case "folder gone":
            shutil.rmtree(repository.root / "petals" / ".permits")
    with pytest.raises(NotPermitted, match="job job1 may not publish petals any more"):
        publish_as(repository, "job1", token)
    assert sorted(whole_versions(repository.root)) == [1, 2, 3, 4]
    assert publish_sample(repository) == 5


def test_permit_is_of_one_job_and_one_model(repository: ModelRepository) -> None:
    token = repository.permit("petals", "job1")
    repository.permit("petals", "job2")
    other_model = repository.permit("sepals", "job1")
    for job, shown in (("job2", token), ("job1", other_model)):
        with pytest.raises(NotPermitted):
            publish_as(repository, job, shown)
    assert "sepals" not in repository.names()


def test_revoking_twice_or_what_was_never_given_does_nothing(repository: ModelRepository) -> None:
    for _ in range(2):
        repository.revoke("petals", "job1")


@pytest.mark.parametrize("job", ["", "../../ACTIVE", "a/b", "A", "a" * 65, "job\n"])
def test_job_that_could_be_no_id_touches_no_path(repository: ModelRepository, job: str) -> None:
    for act in (repository.permit, repository.revoke):
        with pytest.raises(InvalidName):
            act("petals", job)


# The version before


def test_previous_is_the_version_that_was_active_before(repository: ModelRepository) -> None:
    assert repository.previous("petals") is None
    for version, previous in ((2, None), (3, 2), (3, 2), (1, 3)):
        repository.activate("petals", version)
        assert repository.previous("petals") == previous


# Removal


def test_removed_version_is_gone_and_its_number_is_not_used_again(repository: ModelRepository) -> None:
    repository.remove("petals", 4)
    assert sorted(whole_versions(repository.root)) == [1, 2, 3]
    assert publish_sample(repository) == 5
    with pytest.raises(UnknownVersion):
        repository.remove("petals", 4)


def test_active_version_cannot_be_removed(repository: ModelRepository) -> None:
    repository.activate("petals", 2)
    with pytest.raises(VersionInUse, match="activate another"):
        repository.remove("petals", 2)
    assert sorted(whole_versions(repository.root)) == [1, 2, 3, 4]


def test_what_a_dead_remover_left_is_cleared_away_by_the_next_publisher(repository: ModelRepository) -> None:
    left = repository.root / "petals" / ".removed-x"
    (left / "3").mkdir(parents=True)
    publish_sample(repository)
    assert not left.exists()


# Pruning


@pytest.mark.parametrize(
    ("activated", "keep", "removed"),
    [
        ((), 4, ()),
        ((), 9, ()),
        ((), 1, (1, 2, 3)),
        ((1,), 1, (2, 3)),
        ((1, 2), 1, (3,)),
        ((3, 1), 2, (2,)),
        ((1, 2, 3), 1, (1,)),
    ],
)
def test_pruning_keeps_the_newest_the_active_one_and_the_one_before(
    repository: ModelRepository, activated: tuple[int, ...], keep: int, removed: tuple[int, ...]
) -> None:
    for version in activated:
        repository.activate("petals", version)
    assert repository.prune("petals", keep) == removed
    assert set(whole_versions(repository.root)) == {1, 2, 3, 4} - set(removed)


def test_keeping_none_is_refused(repository: ModelRepository) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        repository.prune("petals", 0)
