"""A private PostgreSQL cluster for tests, in a temporary folder, removed afterwards.

It runs as a user who is not root.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import sqlalchemy as sa

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
# no durability, but the server's real rules for transactions and locks
QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")


def available() -> bool:
    """Return whether the server's programs are installed."""
    return (PROGRAMS / "initdb").exists()


@contextlib.contextmanager
def cluster(address: str = "", subnet: str = "") -> Iterator[str]:
    """Run a cluster on a socket in its folder; yields the URL of its database.

    With an address, hosts of `subnet` reach it there, by the URL that is yielded then.
    """
    with tempfile.TemporaryDirectory(prefix="tabserve-pg-", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        data = folder / "data"
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        _run(
            "initdb",
            "--pgdata",
            str(data),
            "--username",
            "tabserve",
            "--auth",
            "trust",
            "--encoding",
            "UTF8",
            "--no-sync",
            folder=folder,
        )
        places = (f"unix_socket_directories={folder}", f"listen_addresses={address}")
        settings = [f"-c{setting}" for setting in (*QUICK, *places)]
        if address:
            with (data / "pg_hba.conf").open("a") as rules:
                rules.write(f"host jobs tabserve {subnet} trust\n")
        log = str(folder / "log")
        start = ("pg_ctl", "start", "--wait", "--pgdata", str(data), "--log", log, "--options", " ".join(settings))
        _run(*start, folder=folder)
        try:
            _run("createdb", "--host", name, "--username", "tabserve", "jobs", folder=folder)
            yield f"postgresql+psycopg://tabserve:secret@{address}/jobs{'' if address else f'?host={name}'}"
        finally:
            _run("pg_ctl", "stop", "--wait", "--mode", "immediate", "--pgdata", str(data), folder=folder)
            shutil.rmtree(data, ignore_errors=True)


def empty(url: str) -> None:
    """Remove everything from a database."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    engine.dispose()


def _run(program: str, *arguments: str, folder: Path) -> None:
    identity: dict[str, object] = {"user": "nobody", "group": "nogroup", "extra_groups": ()} if os.getuid() == 0 else {}
    command: Sequence[str] = [str(PROGRAMS / program), *arguments]
    # the server keeps what it inherits open: a pipe would never end
    done = subprocess.run(  # type: ignore[call-overload]
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT,
        timeout=300, check=False, env={"PATH": os.environ["PATH"], "LC_ALL": "C"}, **identity,
    )  # fmt: skip
    assert done.returncode == 0, f"{program} ended with {done.returncode}"
