"""What a version must prove before it serves, and that it is the model that was trained."""

from __future__ import annotations

import io
import runpy
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from app.runtime.errors import VersionRefused
from app.runtime.load import LoadedModel, load
from modelstore import Manifest, ModelRepository, ModelVersion
from tests.app import broken
from tests.app.broken import publish_as_means
from tests.fakes import MeanModel, manifest_for, publish, script
from tests.onnx_models import mean_onnx

# One rounding of a float32 near 1 is 6e-8; a handful of them may differ between kernels.
TOLERANCE = 1e-6


class Network(torch.nn.Module):
    """A network of the size that is served here, with random weights."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(4, 32), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(32, 3)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.layers(x), dim=1)  # (N, 3)


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    return Network(seed=7).eval()


@pytest.fixture(scope="module")
def published(network: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    data = script(network)
    manifest = manifest_for(network, data, name="net", features=("a", "b", "c", "d"), classes=("x", "y", "z"))
    return ModelRepository(tmp_path_factory.mktemp("net")).publish(manifest, data)


@pytest.fixture(scope="module")
def loaded(published: ModelVersion) -> LoadedModel:
    return load(published, "cpu")


def rows(count: int) -> np.ndarray:
    return np.random.default_rng(3).normal(0.5, 2.0, (count, 4)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 2, 7, 64, 1000])
def test_loaded_model_answers_as_the_eager_one(network: torch.nn.Module, loaded: LoadedModel, count: int) -> None:
    x = rows(count)
    with torch.inference_mode():
        expected = network(torch.from_numpy(x)).numpy()

    answers = loaded.infer(x)

    assert answers.shape == (count, 3)
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers, expected, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(answers.sum(axis=1, dtype=np.float64), 1, rtol=0, atol=1e-5)


def test_batch_answers_each_row_as_it_is_answered_alone(loaded: LoadedModel) -> None:
    x = rows(300)

    together = loaded.infer(x)

    alone = np.concatenate([loaded.infer(row[None]) for row in x])
    np.testing.assert_allclose(together, alone, rtol=0, atol=TOLERANCE)


def test_rows_are_left_as_they_were(loaded: LoadedModel) -> None:
    x = rows(10)

    loaded.infer(x)

    np.testing.assert_array_equal(x, rows(10))


def test_loaded_model_says_what_and_where_it_is(repository: ModelRepository) -> None:
    publish(repository, shift=0.5)
    loaded = load(repository.find("means", 1), "cpu")

    assert (loaded.schema.name, loaded.schema.version, loaded.device) == ("means", 1, "cpu")
    assert loaded.schema.features == ("left", "right")
    assert loaded.manifest == repository.find("means", 1).manifest()
    assert 0 < loaded.load_s < 60


def test_model_saved_in_training_mode_serves_in_evaluation_mode(repository: ModelRepository) -> None:
    publish_as_means(repository, broken.saved_while_training())

    answers = load(repository.find("means", 1), "cpu").infer(np.array([[0.25, 0.75]] * 100, dtype=np.float32))

    assert (answers == 0.5).all()


LOOKED_INTO = (
    "archive_",
    "code_",
    "constants_",
    "contract_",
    "function_",
    "member_",
    "operator_",
    "pickle_",
    "state_",
    "loop_",
    "training_",
    "rows_",
)
REASONS = {"load_failed", "run_failed", "golden_mismatch"}
ARTIFACTS: dict[str, tuple[Callable[[], torch.nn.Module | bytes], str, str]] = {
    "other number of features": (broken.Width, "run_failed", "cannot answer rows"),
    "other number of classes": (lambda: MeanModel(3, 0.0), "contract_shape", "answers shape (32, 3)"),
    "float64": (lambda: broken.Double(2, 0.0), "contract_type", "float64"),
    "not a number": (lambda: broken.NotANumber(2, 0.0), "contract_finite", "not finite"),
    "logits": (lambda: broken.Logits(2, 0.0), "contract_sum", "not probabilities"),
    "other scaler": (lambda: MeanModel(2, 0.01), "golden_mismatch", "golden rows differ by 0.01"),
    "dropout while serving": (lambda: broken.ActiveDropout(2, 0.0), "training_mode", "drops values at random"),
    "never the same twice": (lambda: broken.Shaky(2, 0.0), "training_mode", "drops values at random"),
    "random numbers": (lambda: broken.Draws(2, 0.0), "function_forbidden", "torch.rand"),
    "tuple": (lambda: broken.Tuple(2, 0.0), "contract_output", "no tensor"),
    "weights only": (broken.weights_only, "code_missing", "no code"),
    "random bytes": (lambda: np.random.default_rng(0).bytes(4096), "archive_invalid", "no zip archive"),
    "text": (lambda: b"model", "archive_invalid", "no zip archive"),
    "empty archive": (lambda: archive({}), "archive_invalid", "instead of the archive"),
}


def archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as stream:
        for name, data in files.items():
            stream.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize(("make", "reason", "detail"), ARTIFACTS.values(), ids=ARTIFACTS.keys())
def test_artifact_that_breaks_its_promise_is_refused_with_the_reason(
    repository: ModelRepository, make: Callable[[], torch.nn.Module | bytes], reason: str, detail: str
) -> None:
    publish_as_means(repository, make())

    with pytest.raises(VersionRefused) as refused:
        load(repository.find("means", 1), "cpu")

    assert (refused.value.name, refused.value.version, refused.value.reason) == ("means", 1, reason)
    assert detail in refused.value.detail


SCRIPT = """
import io, torch

class Mean(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        high = torch.clamp(x.mean(dim=1), 0.0, 1.0)
        return torch.stack((1.0 - high, high), dim=1)

stream = io.BytesIO()
torch.jit.save(torch.jit.script(Mean().eval()), stream)
"""


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_class_of_a_script_serves(repository: ModelRepository, tmp_path: Path) -> None:
    """It is called `__main__.Mean`, which torch saves as `code/__torch__.py`."""
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    artifact = runpy.run_path(str(script), run_name="__main__")["stream"].getvalue()
    assert b"code/__torch__.py" in artifact
    publish_as_means(repository, artifact)

    answers = load(repository.find("means", 1), "cpu").infer(np.array([[0.25, 0.75]], dtype=np.float32))
    assert answers.tolist() == [[0.5, 0.5]]


def truncate(found: ModelVersion) -> None:
    path = found.path / "model.pt"
    path.write_bytes(path.read_bytes()[:-100])


def lengthen(found: ModelVersion) -> None:
    with (found.path / "model.pt").open("ab") as stream:
        stream.write(b"\0")


def flip(found: ModelVersion) -> None:
    path = found.path / "model.pt"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def link(found: ModelVersion) -> None:
    path = found.path / "model.pt"
    path.rename(found.path / "real.pt")
    path.symlink_to("real.pt")


def no_manifest(found: ModelVersion) -> None:
    (found.path / "manifest.json").unlink()


def bad_manifest(found: ModelVersion) -> None:
    (found.path / "manifest.json").write_text("{}")


def foreign_manifest(found: ModelVersion) -> None:
    path = found.path / "manifest.json"
    path.write_text(path.read_text().replace('"name": "means"', '"name": "other"'))


FILES = {
    "truncated": (truncate, "integrity_size"),
    "lengthened": (lengthen, "integrity_size"),
    "flipped": (flip, "integrity_sha256"),
    "a link": (link, "symbolic_link"),
    "no manifest": (no_manifest, "file_unreadable"),
    "bad manifest": (bad_manifest, "manifest_invalid"),
    "foreign manifest": (foreign_manifest, "manifest_name"),
}


@pytest.mark.parametrize(("change", "reason"), FILES.values(), ids=FILES.keys())
def test_changed_files_are_refused_with_the_reason(
    repository: ModelRepository, change: Callable[[ModelVersion], None], reason: str
) -> None:
    publish(repository)
    change(repository.find("means", 1))

    with pytest.raises(VersionRefused) as refused:
        load(repository.find("means", 1), "cpu")

    assert refused.value.reason == reason
    assert "/" not in refused.value.detail


def test_artifact_that_raises_is_refused_with_the_reason(repository: ModelRepository) -> None:
    publish_as_means(repository, broken.Raises(2, 0.0))

    with pytest.raises(VersionRefused) as refused:
        load(repository.find("means", 1), "cpu")

    assert refused.value.reason == "run_failed"


def test_damage_before_publishing_is_refused_whatever_torch_makes_of_it(tmp_path: Path) -> None:
    whole = script(MeanModel(2, 0.0))
    random = np.random.default_rng(0)
    for number in range(1, 41):
        data = bytearray(whole)
        for place in random.integers(0, len(data), 4):
            data[place] = random.integers(0, 256)
        found = ModelVersion("means", number, tmp_path / str(number))
        found.path.mkdir()
        (found.path / "model.pt").write_bytes(data)
        (found.path / "manifest.json").write_bytes(manifest_for(MeanModel(2, 0.0), bytes(data)).to_json())

        try:
            answers = load(found, "cpu").infer(np.array([[0.25, 0.75]], dtype=np.float32))
        except VersionRefused as refused:
            assert refused.reason in REASONS or refused.reason.startswith(LOOKED_INTO)  # noqa: PT017 - either way is right
        else:
            assert answers.tolist() == [[0.5, 0.5]]


def test_proved_onnx_answers_where_it_is_quicker(repository: ModelRepository) -> None:
    publish(repository, onnx=mean_onnx())

    loaded = load(repository.find("means", 1), "cpu")

    assert {choice.engine.name for choice in loaded.engine.choices} == {"cpu onnx"}  # by far, in every size
    assert all(choice.measured_us for choice in loaded.engine.choices)
    assert str(loaded.engine) == "cpu onnx"
    assert loaded.unused is None
    assert loaded.infer(np.array([[0.25, 0.75]], dtype=np.float32)).tolist() == [[0.5, 0.5]]


def test_onnx_is_not_used_if_it_is_switched_off(repository: ModelRepository) -> None:
    publish(repository, onnx=mean_onnx())

    assert str(load(repository.find("means", 1), "cpu", use_onnx=False).engine) == "cpu"


def test_onnx_that_is_not_the_model_is_left_out_and_the_version_serves(
    repository: ModelRepository, caplog: pytest.LogCaptureFixture
) -> None:
    publish(repository, onnx=mean_onnx(shift=0.25))

    loaded = load(repository.find("means", 1), "cpu")

    assert str(loaded.engine) == "cpu"
    assert loaded.unused
    assert (loaded.unused.file, loaded.unused.reason) == ("model.onnx", "golden_mismatch")
    assert "model.onnx is not used (golden_mismatch): golden rows differ by 0.25" in caplog.text


def test_crash_in_the_trial_of_onnx_leaves_it_out(repository: ModelRepository) -> None:
    def trial(_manifest: Manifest, _version: int, _model: bytes, file: str) -> None:
        if file == "model.onnx":
            raise VersionRefused("means", 1, "trial_crashed", "the process ended with SIGSEGV")

    publish(repository, onnx=mean_onnx())

    loaded = load(repository.find("means", 1), "cpu", trial)

    assert (str(loaded.engine), loaded.unused and loaded.unused.reason) == ("cpu", "trial_crashed")


def test_damaged_onnx_refuses_the_version(repository: ModelRepository) -> None:
    publish(repository, onnx=mean_onnx())
    (repository.find("means", 1).path / "model.onnx").write_bytes(mean_onnx(0.25))

    with pytest.raises(VersionRefused) as refused:
        load(repository.find("means", 1), "cpu")

    assert refused.value.reason == "integrity_sha256"
    assert "model.onnx" in refused.value.detail


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_model_answers_the_same_on_cuda(network: torch.nn.Module, published: ModelVersion) -> None:
    x = rows(100)
    with torch.inference_mode():
        expected = network(torch.from_numpy(x)).numpy()

    np.testing.assert_allclose(load(published, "cuda").infer(x), expected, rtol=0, atol=1e-5)
