"""X4: programs with memory, with looks at other rows, random or endless, are refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from torch import nn

from app.runtime import load as runtime
from app.runtime.errors import VersionRefused
from app.runtime.trial import try_out
from modelstore import ModelRepository
from tests.app.broken import publish_as_means
from tests.app.hostile import saved
from tests.attacks.memories import COMPANY, HARMLESS, LOOPS, STATES, TRAINING, VALUES, as_trained, program
from tests.fakes import MeanModel, manifest_for

LAYERS = [
    nn.LayerNorm(2), nn.RMSNorm(2), nn.GroupNorm(1, 2), nn.BatchNorm1d(2), nn.Dropout(0.5), nn.AlphaDropout(0.5),
    nn.Dropout(0.5, inplace=True), nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6(inplace=True), nn.PReLU(), nn.GELU(),
    nn.LeakyReLU(inplace=True), nn.ELU(inplace=True), nn.SELU(inplace=True), nn.CELU(inplace=True), nn.Identity(),
    nn.SiLU(inplace=True), nn.Mish(inplace=True), nn.Hardswish(inplace=True), nn.Hardtanh(inplace=True), nn.Softplus(),
    nn.Hardsigmoid(), nn.Softsign(), nn.Tanh(), nn.Tanhshrink(), nn.LogSigmoid(), nn.Sigmoid(), nn.Flatten(),
    nn.Softmin(1), nn.LogSoftmax(1),
]  # fmt: skip
REFUSED = {
    "state_forbidden": ("change a clone() of it", STATES),  # changes what outlives the call
    "loop_forbidden": ("use functions of whole tensors", LOOPS),  # a loop whose end depends on rows
    "training_mode": ("call eval()", TRAINING),
    "rows_not_independent": ("torch.where", VALUES),  # one number for all rows that is made of some
}


def refusal(repository: ModelRepository, artifact: bytes) -> VersionRefused:
    """Publish and load a version, and return why it is refused."""
    publish_as_means(repository, artifact)
    with pytest.raises(VersionRefused) as caught:
        runtime.load(repository.find("means", 1), "cpu")
    return caught.value


@pytest.mark.parametrize(
    ("reason", "advice", "source"),
    [
        pytest.param(reason, advice, source, id=kind)
        for reason, (advice, programs) in REFUSED.items()
        for kind, source in programs.items()
    ],
)
def test_x4_program_is_refused_and_told_what_to_do(
    repository: ModelRepository, reason: str, advice: str, source: str
) -> None:
    refused = refusal(repository, program(source))

    assert refused.reason == reason
    assert advice in refused.detail


def test_x4_batchnorm_without_running_statistics_is_refused(repository: ModelRepository) -> None:
    layer = nn.BatchNorm1d(2, track_running_stats=False)

    assert refusal(repository, saved(nn.Sequential(nn.Linear(2, 2), layer))).reason == "training_mode"


@pytest.mark.parametrize("kind", COMPANY)
def test_x4_answer_that_depends_on_other_rows_is_refused(kind: str) -> None:
    artifact = program(COMPANY[kind])

    with pytest.raises(VersionRefused) as caught:
        try_out(as_trained(artifact), 1, artifact)

    assert caught.value.reason == "rows_not_independent"
    assert "when golden rows are asked" in caught.value.detail


@pytest.mark.parametrize("kind", ["copy_ into a buffer", "a list grows", "a tensor in a table"])
def test_x4_state_that_nobody_saw_in_the_program_is_found_by_comparing_what_it_keeps(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("app.runtime.verify.graph_scan.require_harmless", lambda graph: None)
    artifact = program(STATES[kind])

    with pytest.raises(VersionRefused) as caught:
        try_out(manifest_for(MeanModel(2, 0.0), artifact), 1, artifact)

    assert caught.value.reason == "state_changed"


@pytest.mark.parametrize("kind", HARMLESS)
def test_x4_program_that_changes_only_what_is_its_own_serves(repository: ModelRepository, kind: str) -> None:
    publish_as_means(repository, artifact := program(HARMLESS[kind]))
    found = repository.find("means", 1)

    try_out(found.manifest(), 1, artifact)

    answers = runtime.load(found, "cpu").infer(np.array([[0.25, 0.75]], dtype=np.float32))
    assert answers.tolist() == [[0.5, 0.5]]


@pytest.mark.slow
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_x4_layers_of_classifiers_prove_themselves(layer: nn.Module) -> None:
    network = nn.Sequential(nn.Linear(2, 2), layer, nn.Linear(2, 2), nn.Softmax(dim=1)).eval()
    artifact = saved(network)

    try_out(manifest_for(network, artifact), 1, artifact)


def test_batchnorm_saved_in_training_mode_serves_in_evaluation_mode(repository: ModelRepository) -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Softmax(dim=1))
    stream = io.BytesIO()
    left: torch.jit.ScriptModule = torch.jit.load(io.BytesIO(saved(network))).train()  # type: ignore[no-untyped-call]
    torch.jit.save(left, stream)
    artifact = stream.getvalue()
    repository.publish(manifest_for(network.eval(), artifact), artifact)

    runtime.load(repository.find("means", 1), "cpu")
