"""Errors of training jobs."""

from __future__ import annotations

from http import HTTPStatus

from app.errors import BadRequest, Conflict, NotFound, Overloaded, StoreUnavailable


class RecipeNotFound(NotFound):
    """There is no recipe for this model."""

    def __init__(self, known: tuple[str, ...]) -> None:
        super().__init__(f"no recipe for such a model; there are recipes for {', '.join(known) or 'no model'}")


class JobNotFound(NotFound):
    """There is no training job with this id."""

    def __init__(self) -> None:
        super().__init__("no training job has this id; see GET /train")


class JobConflict(Conflict):
    """The model has an unfinished training."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"training {job_id} of this model has not ended; wait for it or cancel it: /train/{job_id}")


class JobEnded(Conflict):
    """The training has already ended, so it cannot be cancelled."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"training {job_id} has ended; see GET /train/{job_id}")


class QueueFull(Overloaded):
    """The queue holds as many trainings as it may."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} trainings wait, and no more may (TABSERVE_MAX_QUEUED_JOBS); try again later")


class IdempotencyKeyReused(BadRequest):
    """The Idempotency-Key was used before with a different request."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key came with another request before; a new request needs a new key")


class RepositoryReadOnly(StoreUnavailable):
    """The model store is read-only, so a training could not publish its version."""

    def __init__(self) -> None:
        super().__init__("the model store is read-only, so nothing can be trained; predictions are not affected")
