"""To whom a service is open: this machine alone by default, under its own names."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import ConfigurationError
from app.security.errors import HostNotServed
from app.security.hosts import Hosts, check_exposure, scopes_without_key
from app.security.keys import KeyFile, Scope
from app.settings import Settings

ALL = frozenset(Scope)
NOBODY: frozenset[Scope] = frozenset()
EVERYWHERE = "0.0.0.0"  # noqa: S104 - nothing listens


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "::ffff:127.0.0.1", "localhost"])
def test_on_this_machine_everybody_may_do_everything(host: str) -> None:
    assert scopes_without_key(Settings(host=host)) == ALL


@pytest.mark.parametrize(
    "host", [EVERYWHERE, "::", "192.0.2.1", "::ffff:192.0.2.1", "example.org", "", "0", "localhost.example.org"]
)
def test_service_that_other_machines_reach_needs_a_word_about_strangers(host: str) -> None:
    with pytest.raises(ConfigurationError, match="TABSERVE_ANONYMOUS") as refused:
        scopes_without_key(Settings(host=host))

    assert "TABSERVE_KEYS_FILE" in str(refused.value)
    assert f"TABSERVE_HOST={host}" in str(refused.value)


@pytest.mark.parametrize(
    ("anonymous", "scopes"),
    [("predict", {Scope.PREDICT}), ("predict,metrics", {Scope.PREDICT, Scope.METRICS}), ("", set())],
)
def test_word_about_strangers_is_what_they_may_do(anonymous: str, scopes: set[Scope], tmp_path: Path) -> None:
    for file in (None, tmp_path / "keys.json"):
        assert scopes_without_key(Settings(host=EVERYWHERE, keys_file=file, anonymous=anonymous)) == scopes


def test_where_there_are_keys_strangers_may_do_nothing(tmp_path: Path) -> None:
    for host in ("127.0.0.1", EVERYWHERE):
        assert scopes_without_key(Settings(host=host, keys_file=tmp_path / "keys.json")) == NOBODY


def test_keys_that_cannot_be_used_are_found_before_anything_starts(tmp_path: Path) -> None:
    settings = Settings(keys_file=tmp_path / "keys.json")
    with pytest.raises(ConfigurationError):
        check_exposure(settings)

    KeyFile(tmp_path / "keys.json").create(ALL, None, "")
    check_exposure(settings)


def answers(settings: Settings, host: bytes | None) -> bool:
    try:
        Hosts(settings).check(host)
    except HostNotServed:
        return False
    return True


@pytest.mark.parametrize(
    "host",
    [b"localhost", b"LOCALHOST:8000", b"127.0.0.1", b"127.0.0.1:1", b"[::1]:8000", b"api", b"a.localhost", b"10.1.2.3"],
)
def test_without_keys_names_are_answered_that_no_page_can_pretend(host: bytes) -> None:
    assert answers(Settings(), host)


REBOUND = [b"evil.test", b"evil.test:8000", b"localhost.evil.test", b"127.0.0.1.evil.test", b"evil.test.", b"1.2.3"]
NONSENSE = [b"", b":80", b"a b", b"a/b", b"localhost/livez?", b"a@localhost", b"a,b", b"[", b"[::1", b"a:b:c", b"\xff"]


@pytest.mark.parametrize("host", REBOUND)
def test_without_keys_a_name_that_a_page_can_make_its_own_is_refused(host: bytes) -> None:
    assert not answers(Settings(), host)


def test_where_keys_or_strangers_are_expected_any_name_will_do(tmp_path: Path) -> None:
    assert answers(Settings(keys_file=tmp_path / "keys.json"), b"shop.example.org")
    assert answers(Settings(host=EVERYWHERE, anonymous="predict"), b"shop.example.org:443")


@pytest.mark.parametrize("host", NONSENSE)
def test_what_is_no_name_is_refused_whatever_the_settings(host: bytes, tmp_path: Path) -> None:
    assert not answers(Settings(), host)
    assert not answers(Settings(keys_file=tmp_path / "keys.json"), host)


def test_list_of_names_is_the_whole_list() -> None:
    settings = Settings(allowed_hosts="shop.example.org,10.0.0.7")

    assert answers(settings, b"Shop.Example.Org:8443")
    assert answers(settings, b"10.0.0.7")
    assert [
        host for host in (b"example.org", b"a.shop.example.org", b"localhost", b"10.0.0.8") if answers(settings, host)
    ] == []
