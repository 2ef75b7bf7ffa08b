"""Names that become parts of paths: which are allowed, and which no operation takes."""

from __future__ import annotations

import pytest

from modelstore import InvalidName, ModelRepository, check_name, check_version
from tests.modelstore.samples import MODEL, publish_sample, sample_manifest


@pytest.mark.parametrize("name", ["a", "0", "iris", "iris-v2_b", "a" * 64])
def test_plain_names_are_allowed(name: str) -> None:
    assert check_name(name) == name


BAD_NAMES = {
    "empty": "",
    "parent folder": "..",
    "traversal": "../iris",
    "traversal inside": "iris/../../etc",
    "absolute path": "/etc/passwd",
    "backslash": "iris\\..",
    "encoded slash": "iris%2f..",
    "hidden": ".iris",
    "NUL": "iris\0",
    "line feed": "iris\n",
    "space": "iris 2",
    "capital": "Iris",
    "leading dash": "-iris",
    "letter with accent": "írìs",
    "fullwidth letters": "\uff49\uff52\uff49\uff53",
    "right-to-left mark": "iris\u202e",
    "lone surrogate": "iris\ud800",
    "65 characters": "a" * 65,
}


@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES)
def test_no_operation_takes_a_bad_name(repository: ModelRepository, name: str) -> None:
    for operation in (check_name, repository.versions, repository.active):
        with pytest.raises(InvalidName) as caught:
            operation(name)
        assert (caught.value.kind, caught.value.got) == ("a model name", name)
    for numbered in (repository.find, repository.activate):
        with pytest.raises(InvalidName):
            numbered(name, 1)
    with pytest.raises(InvalidName):
        repository.publish(sample_manifest().model_copy(update={"name": name}), MODEL)
    assert not repository.root.exists()


@pytest.mark.parametrize("version", [1, "1", 10, "999999999"])
def test_whole_numbers_are_versions(version: int | str) -> None:
    assert check_version(version) == int(version)


@pytest.mark.parametrize(
    "version",
    [
        0,
        -1,
        1_000_000_000,
        True,
        "",
        "01",
        "+1",
        "1.0",
        "1e3",
        "1_0",
        " 1",
        "1\n",
        "1\0",
        "٣",
        "²",
        "\uff11",
        "../1",
        "1/../2",
    ],
    ids=repr,
)
def test_nothing_else_is_a_version(version: int | str) -> None:
    with pytest.raises(InvalidName) as caught:
        check_version(version)
    assert (caught.value.kind, caught.value.got) == ("a version", version)


@pytest.mark.parametrize(
    "file",
    [
        "",
        ".",
        "..",
        "../loss.png",
        "plots/loss.png",
        "/loss.png",
        ".hidden",
        "Loss.png",
        "a\0",
        "model.pt",
        "model.onnx",
        "manifest.json",
    ],
)
def test_attachment_must_be_a_bare_file_name(repository: ModelRepository, file: str) -> None:
    with pytest.raises(InvalidName) as caught:
        repository.publish(sample_manifest(), MODEL, {file: b""})
    assert (caught.value.kind, caught.value.got) == ("an attachment", file)
    assert repository.names() == ()


def test_reserved_name_is_not_published_but_read_where_it_is(repository: ModelRepository) -> None:
    """GET /v2/models/stats would never show this model."""
    with pytest.raises(InvalidName, match="a new model's name must be one that hides behind no address"):
        repository.publish(sample_manifest(name="stats"), MODEL)

    assert repository.names() == ()
    publish_sample(repository)
    (repository.root / "petals").rename(repository.root / "stats")
    assert (repository.names(), repository.versions("stats")) == (("stats",), (1,))
