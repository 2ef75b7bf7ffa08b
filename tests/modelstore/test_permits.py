from __future__ import annotations

import shutil

import pytest

from modelstore import InvalidName, ModelRepository, NotPermitted, Permit
from tests.modelstore.samples import MODEL, publish_sample, sample_manifest, whole_versions


@pytest.fixture
def repository(four_versions: ModelRepository) -> ModelRepository:
    return four_versions


def publish_as(repository: ModelRepository, job: str, token: str) -> int:
    manifest = sample_manifest(MODEL)
    return repository.publish(manifest, MODEL, {"loss.png": b"a plot"}, Permit(job, token)).version


def test_job_with_its_permit_publishes_as_often_as_it_likes(repository: ModelRepository) -> None:
    token = repository.permit("petals", "job1")
    assert [publish_as(repository, "job1", token) for _ in range(2)] == [5, 6]


@pytest.mark.parametrize("how", ["revoked", "given anew", "never given", "empty", "other letters", "folder gone"])
def test_job_without_its_permit_publishes_nothing_and_spends_no_number(repository: ModelRepository, how: str) -> None:
    token = repository.permit("petals", "job1")
    match how:
        case "revoked":
            repository.revoke("petals", "job1")
        case "given anew":
            repository.permit("petals", "job1")
        case "never given":
            token = "0" * 32
        case "empty":
            repository.revoke("petals", "job1")
            token = ""
        case "other letters":
            token = "é"
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
