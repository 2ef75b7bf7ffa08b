"""The service of the tutorials: FastAPI, a pydantic body and TorchScript."""

from __future__ import annotations

import torch
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from benchmarks.baselines.model import load
from benchmarks.baselines.server import serve


class Body(BaseModel):
    """Rows of features."""

    instances: list[list[float]]


class Prediction(BaseModel):
    """The answer to one row."""

    label: str
    probability: float
    probabilities: dict[str, float]


class Answer(BaseModel):
    """The answers to all rows."""

    predictions: list[Prediction]


def create_app() -> FastAPI:
    """Return the service."""
    app = FastAPI()
    model = load(freeze=False)

    @app.post("/predict/iris")
    async def predict(body: Body) -> Answer:
        """Classify rows."""
        if not body.instances or any(len(row) != model.features for row in body.instances):
            raise HTTPException(422, f"each row must have {model.features} values")
        x = torch.tensor(body.instances, dtype=torch.float32)
        with torch.inference_mode():
            probabilities = model.module(x)
        best = probabilities.argmax(dim=1).tolist()
        return Answer(
            predictions=[
                Prediction(
                    label=model.classes[k], probability=row[k], probabilities=dict(zip(model.classes, row, strict=True))
                )
                for k, row in zip(best, probabilities.tolist(), strict=True)
            ]
        )

    return app


if __name__ == "__main__":
    serve(create_app())
