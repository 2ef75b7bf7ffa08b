"""Settings of the service, read from TABSERVE_ variables and command-line flags.

This module must not open, load or start anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

LEAST_TRAIN_MEMORY_BYTES = 1 << 30  # importing PyTorch and scikit-learn alone takes some 600 MiB
_PROJECT = Path(__file__).resolve().parent.parent
_SECRETS = Path("/run/secrets")  # containers mount values here that must not be in an environment variable

_SCOPE = "(predict|train|admin|metrics)"
_ORIGIN = r"https?://[a-z0-9.-]+(:\d{1,5})?"

_SERVICE_LINK = (
    "input should be a number; Kubernetes sets this variable in every container beside a Service named tabserve or "
    "tabserve-grpc: put enableServiceLinks: false into the pod's spec, set this variable there, or name the Service "
    "otherwise"
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
        cli_prog_name="tabserve serve",
    )

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 listens on all interfaces."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """TCP port; 0 lets the system choose a free one, which is printed."""
    grpc_port: Annotated[int | None, Field(ge=1, le=65535)] = None
    """TCP port of the Open Inference Protocol over gRPC; by default it is served over HTTP alone."""
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Number of serving processes; each has its own copy of the models."""
    models_dir: Path = Path("models")
    """Folder of the model store, shared by all processes that train or serve."""
    data_dir: Path = Path("data")
    """Folder with the data files that recipes refer to."""
    recipes_dir: Path = _PROJECT / "training" / "recipes"
    """Folder with the training recipes, one TOML file each."""
    datasets_dir: Path = Path("datasets")
    """Folder for uploaded data sets; created if missing."""
    state_dir: Path = Path("state")
    """Folder of the job database, the audit file and, in scratch, temporary files and caches; created if missing."""
    database_url: Annotated[str | None, Field(repr=False)] = None
    """URL of the job database, postgresql+psycopg://...; without it, a SQLite file in the state folder."""
    train_concurrency: Annotated[int, Field(ge=0, le=64)] = 1
    """Most trainings that run at once, over all processes on the job table; 0 leaves them to other processes."""
    max_queued_jobs: Annotated[int, Field(ge=1, le=100_000)] = 100
    """Most trainings in the queue; further ones are answered 429."""
    train_timeout_s: Annotated[float, Field(gt=0, le=30 * 86400)] = 3600.0
    """Time limit of a training in seconds."""
    train_memory_bytes: Annotated[int, Field(ge=LEAST_TRAIN_MEMORY_BYTES)] = 8 << 30
    """Memory limit of a training in bytes."""
    train_niceness: Annotated[int, Field(ge=0, le=19)] = 19
    """Niceness of trainings and of checks of data sets; lower if other processes of the machine leave them no time."""
    train_lease_s: Annotated[float, Field(ge=0.2, le=3600)] = 15.0
    """Seconds without a heartbeat after which another process takes over a running training and ends it."""
    keep_versions: Annotated[int, Field(ge=1, le=100_000)] = 20
    """Newest versions of a model to keep after a training, besides the active one, its predecessor and its shadow."""
    keep_jobs: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """Number of ended trainings to keep in the job table; the oldest are removed first."""
    keep_feedback_days: Annotated[int, Field(ge=1, le=3650)] = 365
    """Days after a prediction in which a label for it is taken, and after which it is removed."""
    feedback_id_days: Annotated[int, Field(ge=0, le=3650)] = 0
    """Days in which a label is taken for an id that came with a predicted row; 0 keeps no ids and refuses them."""
    keep_inputs_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the rows with a receipt whose inputs are kept, for trainings with their labels; 0 keeps none."""
    keep_inputs_days: Annotated[int, Field(ge=1, le=3650)] = 30
    """Days after a prediction in which its inputs are kept, if keep_inputs_share is above 0."""
    keep_inputs_columns: str = ""
    """Comma-separated names of the columns whose values may be kept; by default all."""
    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d{1,2})?)$")] = "auto"
    """Device that models run on: auto (cuda, else mps, else cpu), cpu, cuda, cuda:N or mps."""
    onnx: bool = True
    """Answer with ONNX Runtime, on the CPU, if a version has model.onnx and it is proved and quicker than model.pt."""
    poll_interval_s: Annotated[float, Field(gt=0, le=60)] = 1.0
    """Seconds between two checks of the store for a new active version."""
    max_body_bytes: Annotated[int, Field(ge=1024, le=1 << 32)] = 8 << 20
    """Largest request body in bytes."""
    max_rows: Annotated[int, Field(ge=1)] = 131_072
    """Most rows per request in JSON or the Open Inference Protocol; their responses are held in memory."""
    max_explanation_rows: Annotated[int, Field(ge=1)] = 16_777_216
    """Most rows to compute for the explanations of one request; to explain one row takes up to 131,072 of them."""
    max_stream_bytes: Annotated[int, Field(ge=1024)] = 1 << 40
    """Largest CSV, NDJSON, Arrow or float32 body in bytes; these are answered while they arrive."""
    max_dataset_bytes: Annotated[int, Field(ge=1024)] = 4 << 30
    """Largest data set in bytes; uploads stream to disk, and max_stream_bytes applies as well."""
    max_answer_bytes_waiting: Annotated[int, Field(ge=1 << 16)] = 64 << 20
    """Most response bytes to buffer for a client that sends all its rows before it reads."""
    max_bytes_held: Annotated[int, Field(ge=1 << 16)] = 256 << 20
    """Bytes of bodies and responses that one process holds in memory, less the first 64 KiB of each; beyond it, 503."""
    max_loaded_versions: Annotated[int, Field(ge=1, le=1000)] = 8
    """Most versions kept loaded besides the serving ones: those that served recently or were requested by number."""
    signing_key_file: Path | None = None
    """File with the key that versions must be signed with, made by `python -m training signing-key`."""
    self_test_interval_s: Annotated[float, Field(ge=0, le=86_400)] = 600.0
    """Seconds between two tests of all loaded versions with their golden rows; 0 tests only after swaps."""
    strict_readiness: bool = False
    """Report ready only if every model of the store has a serving version; by default one such model is enough."""
    max_queue_rows: Annotated[int, Field(ge=1, le=10_000_000)] = 65_536
    """Most rows of small requests in the queue of a model; further ones are answered 429."""
    max_batch_wait_s: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Seconds that a small request waits for others to batch with; more than 0 helps only heavy models on a GPU."""
    shadow_share: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Largest share of one processor that each process gives to shadow versions, from 0 to 1."""
    shadow_queue_rows: Annotated[int, Field(ge=1, le=10_000_000)] = 8192
    """Most rows that wait for shadow versions in each process; further ones are dropped and counted."""
    hung_after_s: Annotated[float, Field(ge=2, le=3600)] = 30.0
    """Seconds that the event loop of a process may be blocked before the process is killed and restarted."""
    drain_s: Annotated[float, Field(ge=0, le=600)] = 5.0
    """Seconds after SIGTERM in which the service reports unready but still serves, before it refuses connections."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest severity to log."""
    log_format: Literal["auto", "json", "text"] = "auto"
    """Log format: json (one object per line), text, or auto (text on a terminal, else JSON)."""
    access_log: bool = False
    """Log one line for every answered request except health probes."""
    audit_file: Path | None = None
    """Audit file: who changed what, and with which outcome; by default audit.jsonl in the state folder."""
    metrics_dir: Path | None = None
    """Folder in which several workers share their metrics; set by the supervisor."""
    keys_file: Path | None = None
    """File with the API keys, made by `python -m app keys`; without it no key is needed, and host is this machine."""
    anonymous: Annotated[str | None, Field(pattern=rf"^({_SCOPE}(,{_SCOPE})*)?$")] = None
    """Comma-separated scopes of requests without a key; by default none if there is a key file, else all."""
    rate_per_s: Annotated[float | None, Field(gt=0, le=1e6)] = None
    """Requests per second and process for each key, or each address without a key; further ones are answered 429."""
    rate_burst: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    """Most requests at once after a pause, if rate_per_s is set."""
    max_in_flight: Annotated[int, Field(ge=1, le=1_000_000)] = 1024
    """Most requests that one process answers at a time; further ones are answered 503."""
    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = 4096
    """Most connections of one process; beyond that, some idle ones are closed."""
    max_header_bytes: Annotated[int, Field(ge=1024, le=1 << 20)] = 32 << 10
    """Largest request line with all headers, in bytes; beyond it, 431."""
    max_headers: Annotated[int, Field(ge=10, le=10_000)] = 100
    """Most headers of a request; beyond that, 431."""
    receive_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 10.0
    """Deadline in seconds for the request headers; the body gets this plus its size / receive_rate."""
    receive_rate: Annotated[int, Field(ge=1, le=1 << 30)] = 64 << 10
    """Lowest average rate in bytes per second at which a client must send a body once receive_timeout_s is over."""
    keep_alive_s: Annotated[int, Field(ge=1, le=86_400)] = 75
    """Seconds to keep an idle connection open; longer than load balancers keep theirs, often 60."""
    send_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """Seconds in which a client must read at least 64 KiB of its response, or all that is left."""
    allowed_hosts: Annotated[str, Field(pattern=r"^([^\s,]+(,[^\s,]+)*)?$")] = ""
    """Comma-separated host names to answer for; by default all, but without keys only those of this machine."""
    root_path: str = ""
    """Path prefix, such as /tabserve, under which a proxy exposes the service; links include it."""
    trusted_proxies: str = ""
    """Comma-separated addresses and networks of proxies whose X-Forwarded-Prefix header sets root_path per request."""
    cors_origins: Annotated[str, Field(pattern=rf"^({_ORIGIN}(,{_ORIGIN})*)?$")] = ""
    """Comma-separated origins, such as https://app.example.org, whose pages may use the service from a browser."""
    demo: bool = False
    """Before serving, train the demonstration models (the recipes in recipes_dir) that have no version yet."""

    @field_validator("host")
    @classmethod
    def _strip_brackets(cls, host: str) -> str:
        """Strip the brackets that enclose an IPv6 address in a URL."""
        return host[1:-1] if host.startswith("[") and host.endswith("]") else host

    @field_validator("port", "grpc_port", mode="before")
    @classmethod
    def _reject_service_link(cls, port: object) -> object:
        """Reject a value such as `tcp://10.0.0.1:8000`, which a Kubernetes service link sets, and explain it."""
        if isinstance(port, str) and "://" in port:
            raise PydanticCustomError("service_link", _SERVICE_LINK)
        return port
