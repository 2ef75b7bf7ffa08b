"""The settings of the service, from TABSERVE_ variables and flags; it must not open, load or start anything."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

LEAST_TRAIN_MEMORY_BYTES = 1 << 30  # PyTorch and scikit-learn take some 600 MiB before they do anything
_PROJECT = Path(__file__).resolve().parent.parent
_SECRETS = Path("/run/secrets")  # where containers find what must not stand in a variable

_SCOPE = "(predict|train|admin|metrics)"
_ORIGIN = r"https?://[a-z0-9.-]+(:\d{1,5})?"

_SERVICE_LINK = (
    "input should be a number; Kubernetes sets this variable in every container beside a Service named tabserve: "
    "put enableServiceLinks: false into the pod's spec, set TABSERVE_PORT there, or name the Service otherwise"
)


class Settings(BaseSettings):
    """Serve the models of a store. Each setting is a flag or a TABSERVE_ variable (TABSERVE_PORT); the flag wins."""

    model_config = SettingsConfigDict(
        env_prefix="TABSERVE_",
        frozen=True,
        extra="ignore",
        secrets_dir=_SECRETS if _SECRETS.is_dir() else None,
        use_attribute_docstrings=True,
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_prog_name="scripts/serve",
    )

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 listens on all."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """TCP port; 0 lets the system choose one, which is printed."""
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Processes that serve; each has its own copy of the models."""
    models_dir: Path = Path("models")
    """Folder of the model store; shared by everything that trains or serves."""
    data_dir: Path = Path("data")
    """Folder with the data files that recipes name."""
    recipes_dir: Path = _PROJECT / "training" / "recipes"
    """Folder with the training recipes, a TOML file each."""
    datasets_dir: Path = Path("datasets")
    """Folder of the data sets that clients send, made if absent."""
    state_dir: Path = Path("state")
    """Folder of the job table, made if absent."""
    database_url: Annotated[str | None, Field(repr=False)] = None
    """Where the job table is: postgresql+psycopg://...; without it, SQLite in the state folder."""
    train_concurrency: Annotated[int, Field(ge=0, le=64)] = 1
    """How many trainings run at once on the job table, over all processes; 0 leaves them to other processes."""
    max_queued_jobs: Annotated[int, Field(ge=1, le=100_000)] = 100
    """How many trainings may wait; more are answered 429."""
    train_timeout_s: Annotated[float, Field(gt=0, le=30 * 86400)] = 3600.0
    """Seconds that a training may run."""
    train_memory_bytes: Annotated[int, Field(ge=LEAST_TRAIN_MEMORY_BYTES)] = 8 << 30
    """Bytes of memory that a training may use."""
    train_lease_s: Annotated[float, Field(ge=0.2, le=3600)] = 15.0
    """Seconds without a sign of life after which another process gives a training up."""
    keep_versions: Annotated[int, Field(ge=1, le=100_000)] = 20
    """Newest versions of a model that a training leaves in the store, besides the active one and its predecessor."""
    keep_jobs: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """Newest ended trainings that stay in the job table."""
    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d{1,2})?)$")] = "auto"
    """Where models run: auto (cuda, else mps, else cpu), cpu, cuda, cuda:N or mps."""
    poll_interval_s: Annotated[float, Field(gt=0, le=60)] = 1.0
    """Seconds between two looks at the store for a new active version."""
    max_body_bytes: Annotated[int, Field(ge=1024, le=1 << 32)] = 8 << 20
    """Largest request body in bytes."""
    max_rows: Annotated[int, Field(ge=1)] = 131_072
    """Most rows of one request in JSON or the Open Inference Protocol, whose answers are held in memory."""
    max_stream_bytes: Annotated[int, Field(ge=1024)] = 1 << 40
    """Largest body in bytes of CSV, NDJSON, Arrow and float32, which are answered while they arrive."""
    max_dataset_bytes: Annotated[int, Field(ge=1024)] = 4 << 30
    """Largest data set in bytes; it streams to the disk, and max_stream_bytes bounds it as well."""
    max_answer_bytes_waiting: Annotated[int, Field(ge=1 << 16)] = 64 << 20
    """How many bytes of an answer may wait for a client that sends all its rows before it reads."""
    max_bytes_held: Annotated[int, Field(ge=1 << 16)] = 256 << 20
    """Bytes of bodies and answers that one process holds whole, but the first 64 KiB of each; more is answered 503."""
    max_loaded_versions: Annotated[int, Field(ge=1, le=1000)] = 8
    """How many versions stay loaded besides those that serve, for they served lately or were asked for by number."""
    signing_key_file: Path | None = None
    """File with the key that versions must be signed with, made by `python -m training signing-key`."""
    self_test_interval_s: Annotated[float, Field(ge=0, le=86_400)] = 600.0
    """Seconds between two tests of all loaded versions with their golden rows; 0 leaves the tests after swaps."""
    strict_readiness: bool = False
    """Be ready only if every model of the store has a version that serves; by default one such model is enough."""
    max_queue_rows: Annotated[int, Field(ge=1, le=10_000_000)] = 65_536
    """How many rows of small requests may wait for a model; more are answered 429."""
    max_batch_wait_s: Annotated[float, Field(ge=0, le=1)] = 0.0
    """How long a small request may wait for company; 0 does not wait, more helps only heavy models on a GPU."""
    hung_after_s: Annotated[float, Field(ge=2, le=3600)] = 30.0
    """Seconds that the event loop of a process may stand still before that is killed and started again."""
    drain_s: Annotated[float, Field(ge=0, le=600)] = 5.0
    """Seconds that the service serves on after SIGTERM, unready, before it takes no more connections."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe message that is logged."""
    log_format: Literal["auto", "json", "text"] = "auto"
    """How messages are logged: a JSON object a line, text for people, or auto: text on a terminal, else JSON."""
    access_log: bool = False
    """Log a line for every request that is answered, but for probes."""
    audit_file: Path | None = None
    """File that says who changed what, and how that ended; by default audit.jsonl in the state folder."""
    metrics_dir: Path | None = None
    """Folder where several workers leave their figures for each other; set by the launcher."""
    keys_file: Path | None = None
    """File with the API keys, made by `python -m app keys`; without it nobody needs one, and host is this machine."""
    anonymous: Annotated[str | None, Field(pattern=rf"^({_SCOPE}(,{_SCOPE})*)?$")] = None
    """Scopes, by comma, of whoever comes without a key; by default none if there is a key file, else all."""
    rate_per_s: Annotated[float | None, Field(gt=0, le=1e6)] = None
    """Requests in a second that a key, or an address without one, may make of one process; more are answered 429."""
    rate_burst: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    """How many requests may come at once after a rest, if rate_per_s is set."""
    max_in_flight: Annotated[int, Field(ge=1, le=1_000_000)] = 1024
    """How many requests one process answers at a time; more are answered 503."""
    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = 4096
    """Connections of one process; when there are more, some that do nothing are closed."""
    max_header_bytes: Annotated[int, Field(ge=1024, le=1 << 20)] = 32 << 10
    """Largest request line with all headers, in bytes; more is answered 431."""
    max_headers: Annotated[int, Field(ge=10, le=10_000)] = 100
    """How many headers a request may have; more are answered 431."""
    receive_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 10.0
    """Seconds in which the head of a request must come, and its body besides the time that receive_rate gives it."""
    receive_rate: Annotated[int, Field(ge=1, le=1 << 30)] = 64 << 10
    """Bytes in a second that a client must send of a body, on average, once receive_timeout_s is over."""
    keep_alive_s: Annotated[int, Field(ge=1, le=86_400)] = 75
    """Seconds that a connection is kept on which nothing is asked; more than load balancers keep theirs, often 60."""
    send_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """Seconds in which a client must read on in its answer, at least 64 KiB or all that is left."""
    allowed_hosts: Annotated[str, Field(pattern=r"^([^\s,]+(,[^\s,]+)*)?$")] = ""
    """Names, by comma, that requests may address the service by; default: all, but without keys only this machine's."""
    root_path: str = ""
    """Path, such as /tabserve, below which a proxy serves this service; links carry it."""
    trusted_proxies: str = ""
    """Addresses and networks, by comma, of proxies whose X-Forwarded-Prefix header says that path, for each request."""
    cors_origins: Annotated[str, Field(pattern=rf"^({_ORIGIN}(,{_ORIGIN})*)?$")] = ""
    """Origins, by comma, such as https://app.example.org, whose pages may use the service from a browser."""
    train_missing: bool = False
    """Train every recipe whose model has no version yet before serving."""

    @field_validator("host")
    @classmethod
    def _bare(cls, host: str) -> str:
        """Return the address without the brackets in which IPv6 stands in URLs."""
        return host[1:-1] if host.startswith("[") and host.endswith("]") else host

    @field_validator("port", mode="before")
    @classmethod
    def _no_link(cls, port: object) -> object:
        """Say where `tcp://10.0.0.1:8000` comes from, which nobody wrote."""
        if isinstance(port, str) and "://" in port:
            raise PydanticCustomError("service_link", _SERVICE_LINK)
        return port
