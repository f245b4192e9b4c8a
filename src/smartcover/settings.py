"""
Every setting of the service: its name, default, type and one sentence.

This is the only reader of the environment. Settings are read once, when a process starts, and are frozen; rooms
below get plain values, never this object. Each name is `SMARTCOVER_` and the field's name in capitals.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from smartcover.errors import BadBucketName, SettingsError

#: Waits after the immediate first try of a callback, in seconds: about a day in all.
DEFAULT_SCHEDULE_SECONDS = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 28800)

#: What the test suite of smartcover itself is told by.
_OF_TESTS: Final = ("TEST_", "CHAOS_")
#: Kubernetes tells each container of its neighbours: a Service named smartcover-api brings SMARTCOVER_API_SERVICE_HOST.
_OF_KUBERNETES: Final = re.compile(r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")
_KUBERNETES_ADDRESS: Final = ("tcp://", "udp://", "sctp://")
#: How alike two names must be, from 0 to 1, for one to be a slip of the other.
_ALIKE: Final = 0.6

_LEAST_TOKEN_CHARACTERS: Final = 8
MEBIBYTE = 1 << 20
GIBIBYTE = 1 << 30


class Settings(BaseSettings):
    """What a smartcover process was told by its environment."""

    model_config = SettingsConfigDict(env_prefix="SMARTCOVER_", frozen=True, extra="ignore", allow_inf_nan=False)

    # Identity and place
    secret_id: str | None = Field(None, description="SecretId of the first key pair; none makes one at first start.")
    secret_key: SecretStr | None = Field(None, description="SecretKey of the first key pair.")
    keys_secret: SecretStr | None = Field(
        None,
        description="What the secrets of teams' key pairs are derived from: 16 characters or more, the same for every "
        "API process; several, comma separated, newest first, while it is replaced. None makes one under the data "
        "folder of the embedded database.",
    )
    region: str = Field("local", description="Region of requests and new buckets whose Host names none.")
    default_bucket: str | None = Field(None, description="Bucket of requests whose Host and path name none.")
    buckets: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Buckets to make at start, comma separated; each is bound and has its default queue."
    )
    time_zone_offset_minutes: int = Field(
        480, ge=-1439, le=1439, description="Zone in which the wire's times are printed; 480 is +0800."
    )

    # Database and storage
    database_url: SecretStr | None = Field(
        None,
        description="postgresql://… of your own server; none runs the embedded PostgreSQL under the data folder.",
    )
    database_wait_seconds: float = Field(
        60.0,
        ge=0,
        le=86_400,
        description="How long a starting process waits for a database at SMARTCOVER_DATABASE_URL that is away; 0 = not "
        "at all.",
    )
    database_pool_size: int = Field(
        16,
        ge=4,
        le=200,
        description="Most database connections of one process; a worker takes fewer, as its slots need.",
    )
    storage: str = Field(
        "file:",
        description="Where objects live: file: is the data folder; s3:// a store bucket of the same name for each "
        "bucket; s3://name/prefix one store bucket with a folder for each.",
    )
    storage_wait_seconds: float = Field(
        86_400.0,
        ge=0,
        le=30 * 86_400,
        description="How long a job or batch is tried again that the store or the database fails, before it fails with "
        "ServiceUnavailable; 0 = not at all. A failing database is given ten minutes in any case.",
    )
    s3_endpoint: str | None = Field(
        None, description="Address of the S3-compatible store, such as https://s3.example.com; none is AWS."
    )
    s3_region: str | None = Field(None, description="Region of the store; none takes AWS_REGION or us-east-1.")
    s3_access_key_id: str | None = Field(
        None,
        description="Access key of the store; none takes the usual AWS_* variables, the credentials "
        "file or the machine's role.",
    )
    s3_secret_access_key: SecretStr | None = Field(None, description="Secret of the store's access key.")
    s3_session_token: SecretStr | None = Field(None, description="Token of a temporary access key.")
    s3_path_style: bool = Field(
        False, description="Put the store bucket's name into the path and not the host, as MinIO wants it."
    )
    s3_allow_http: bool = Field(False, description="Let the store be reached without TLS.")
    s3_read_budget_bytes: int = Field(
        GIBIBYTE, ge=MEBIBYTE, description="Most bytes that may be read of one video in an S3 store."
    )

    # The HTTP edge
    auth_clock_skew_seconds: int = Field(
        900, ge=0, le=86400, description="How far a client's clock may be off in a request signature."
    )
    auth_require_signed_host: bool = Field(
        False,
        description="Refuse signatures that do not cover the Host header (some SDK modes leave it out).",
    )
    max_object_bytes: int = Field(5 * GIBIBYTE, ge=1, description="Largest object of one PUT or one part.")
    max_key_bytes: int = Field(850, ge=1, le=850, description="Longest object key of a request, in bytes of UTF-8.")
    max_xml_bytes: int = Field(MEBIBYTE, ge=1024, description="Largest XML request body.")
    max_header_bytes: int = Field(64 * 1024, ge=4096, le=MEBIBYTE, description="Largest request line plus headers.")
    body_idle_timeout_seconds: float = Field(
        30.0, gt=0, description="Longest silence inside a request body before the request is ended."
    )
    body_min_bytes_per_second: int = Field(
        1024, ge=1, description="Least average rate of a request body, counted while the server waits for the client."
    )
    write_stall_timeout_seconds: float = Field(
        120.0, gt=0, description="Longest time that a client may leave an answer unread before it is dropped."
    )
    max_headers: int = Field(200, ge=20, le=10_000, description="Most headers of one request.")
    max_jobs_per_query: int = Field(
        100, ge=1, le=1000, description="Most ids or names in one query, such as GET /jobs/<id>,<id>."
    )
    max_page_size: int = Field(
        100, ge=1, le=1000, description="Most entries of one page of a CI list; larger sizes are cut to it."
    )
    max_templates_per_bucket: int = Field(1000, ge=1, le=100_000, description="Most templates of one bucket.")

    events_token: SecretStr | None = Field(
        None,
        description="Bearer token, 8 characters or more, with which an S3-style store posts its notifications to "
        "/events/s3; none takes none.",
    )

    # Jobs
    queue_max_concurrent: int = Field(
        10, ge=1, le=100_000, description="Jobs that a new queue runs at once, over all workers."
    )
    queue_max_size: int = Field(
        10_000, ge=1, le=10_000_000, description="Jobs that may wait in a new queue; more are refused with QueueFull."
    )
    idempotency_key_seconds: float = Field(
        86_400.0,
        gt=0,
        le=30 * 86_400,
        description="How long a submit with the same x-smartcover-idempotency-key is answered with the first jobs.",
    )
    sdk_retry_seconds: float = Field(
        60.0,
        ge=0,
        le=3600,
        description="How long a call that an SDK marks as a retry does nothing a second time; 0 = never.",
    )
    worker_concurrency: int = Field(2, ge=0, le=256, description="Videos that one worker process handles at once.")
    job_timeout_seconds: float = Field(300.0, gt=0, description="Longest time the engine may take over one video.")
    job_memory_bytes: int = Field(2 * GIBIBYTE, ge=256 * MEBIBYTE, description="Most memory the engine may take.")
    job_max_attempts: int = Field(
        8,
        ge=1,
        le=100,
        description="Starts of one job before it fails; a start that ended in a crash counts.",
    )
    lease_seconds: float = Field(
        15.0, ge=2, le=86_400, description="How long a worker may stay silent before its jobs go to another."
    )
    max_video_pixels: int = Field(
        8192 * 8192, ge=4096, description="Most pixels of one frame; a larger video fails as InputTooLarge."
    )
    safety: bool = Field(False, description="Never take an unsafe frame as a cover; needs the extra [safety].")
    scorer: Path | None = Field(None, description="ONNX file of your own whose score counts as much as ours.")
    gpu: bool = Field(False, description="Decode and run the networks on an accelerator, where there is one.")
    shutdown_grace_seconds: float = Field(
        20.0, ge=0, description="How long a stop waits for running jobs before it hands them back."
    )

    # Callbacks
    callback_schedule: Annotated[tuple[float, ...], NoDecode] = Field(
        DEFAULT_SCHEDULE_SECONDS,
        description="Waits in seconds after the immediate first try, comma separated.",
    )
    callback_jitter: float = Field(0.2, ge=0, le=0.9, description="Share by which each wait is spread at random.")
    callback_allow: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Hosts and CIDRs that callbacks may reach although private, comma separated."
    )
    callback_ports: Annotated[tuple[int, ...], NoDecode] = Field(
        (), description="The only ports that callbacks may go to, comma separated; none = any port."
    )
    callback_connect_timeout_seconds: float = Field(5.0, gt=0, description="Longest wait for a connection.")
    callback_timeout_seconds: float = Field(15.0, gt=0, description="Longest time of one whole try.")
    callback_secret: SecretStr | None = Field(
        None, description="whsec_… secret; when set, callbacks carry Standard Webhooks signature headers."
    )
    callback_concurrency: int = Field(64, ge=1, le=2000, description="Tries in flight at once in one process.")
    callback_concurrency_per_destination: int = Field(
        4, ge=1, le=1000, description="Tries in flight at once to one receiver."
    )
    callback_rate_per_destination: float = Field(
        0.0, ge=0, description="Most tries begun per second to one receiver by one process; 0 = any number."
    )
    callback_ca_file: Path | None = Field(
        None,
        description="CA bundle for https receivers and for brokers over TLS, in place of the system's, which is taken "
        "when there is none: where some receivers are public, let it hold the public CAs too.",
    )
    callback_json_array: bool = Field(
        False,
        description="Write JobsDetail of JSON callbacks as a one-element array, as an older page shows.",
    )
    callback_md5_info: bool = Field(False, description="Fill OutputFile.Md5Info; the document shows it empty.")
    broker_url: SecretStr | None = Field(
        None,
        description="Broker of callbacks of type TDMQ, for API and dispatchers: amqp://, nats://, redis://, kafka:// "
        "or mqtt://, over TLS amqps://, nats+tls://, rediss://, kafka+tls:// or mqtts://.",
    )
    broker_prefix: str = Field(
        "", description="Put before the name of every queue and topic as it stands, such as smartcover- or mine_."
    )

    # What is kept
    retention_jobs_days: float = Field(
        30.0, ge=0, le=36_500, description="Days that finished jobs, workflow runs and batches are kept; 0 = for ever."
    )
    retention_deliveries_days: float = Field(
        30.0, ge=0, le=36_500, description="Days that ended deliveries and their attempts are kept; 0 = for ever."
    )
    retention_events_days: float = Field(
        7.0, ge=0, le=36_500, description="Days for which an upload event told again is recognised; 0 = for ever."
    )

    # Metrics and readiness of a worker or dispatcher
    metrics_host: str = Field(
        "127.0.0.1",
        description="Where a worker or dispatcher shows /metrics, /healthz and /readyz; the API shows them on its own "
        "port.",
    )
    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port of these pages, one for each process; 0 = any free one, none shows no pages, because any "
        "number of workers may run on one machine.",
    )

    # Logs
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="How log lines look; auto is console on a terminal and JSON elsewhere."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        parts = urlsplit(value.get_secret_value())
        if parts.scheme not in ("postgresql", "postgres"):
            raise ValueError(f"it begins with {parts.scheme!r}; give postgresql://user:password@host:port/database")
        try:
            for host in parts.netloc.rpartition("@")[2].split(","):  # PostgreSQL's URLs may name several
                _ = urlsplit(f"//{host}").port
        except ValueError:
            raise ValueError("its port is not a number from 0 to 65535; write / in a password as %2F") from None
        return value

    @field_validator("events_token")
    @classmethod
    def _check_events_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value) < _LEAST_TOKEN_CHARACTERS:
            raise ValueError(f"it has {len(value)} characters; give {_LEAST_TOKEN_CHARACTERS} or more")
        return value

    @field_validator("buckets", "callback_allow", "callback_ports", mode="before")
    @classmethod
    def _split_words(cls, value: object) -> object:
        return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value

    @field_validator("default_bucket", "buckets")
    @classmethod
    def _check_buckets(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        from smartcover.storage import check_bucket_name  # only here: it brings the clients of all stores along

        for name in (value,) if isinstance(value, str) else value or ():
            try:
                check_bucket_name(name)
            except BadBucketName as error:
                raise ValueError(error.public) from error
        return value

    @field_validator("callback_schedule", mode="before")
    @classmethod
    def _split_seconds(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            waits = tuple(float(word) for word in value.split(",") if word.strip())
        except ValueError:
            raise ValueError(f"{value!r} is not a comma list of seconds such as 5,30,120") from None
        if any(not 0 <= wait <= 7 * 86400 for wait in waits) or len(waits) > 100:
            raise ValueError("each wait lies between 0 and 604800 seconds, and there are at most 100")
        return waits

    @field_validator("callback_ports")
    @classmethod
    def _check_ports(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(not 1 <= port <= 65535 for port in value):
            raise ValueError("a port lies between 1 and 65535")
        return value

    @field_validator("callback_allow")
    @classmethod
    def _check_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for word in value:
            if "/" in word:
                try:
                    ipaddress.ip_network(word, strict=False)
                except ValueError:
                    raise ValueError(f"{word!r} is no network; give hosts and networks, as 10.0.0.0/8") from None
        return value


def read_settings(**overrides: Any) -> Settings:
    """
    Read the environment once; `overrides` are what the command line said.

    Raises:
        SettingsError: If a value is wrong; the text names each variable and what is wrong with it.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise SettingsError("; ".join(map(_complaint, error.errors()))) from error


def _complaint(error: Mapping[str, Any]) -> str:
    """Say which variable is wrong, with what, and what it should be; a secret stays one."""
    field, *inside = error["loc"]
    said = error["msg"].removeprefix("Value error, ")
    name, value = f"SMARTCOVER_{str(field).upper()}", repr(error["input"])[:200]
    if "Secret" in str(Settings.model_fields[str(field)].annotation) or value in said:
        return f"{name}: {said}"
    return f"{name} {'holds' if inside else 'is'} {value}: {said[:1].lower()}{said[1:]}"


def shared_keys_place(environment: Mapping[str, str] = os.environ) -> tuple[Path, str, bool] | None:
    """
    Say where the usual AWS variables let keys of the store be looked for: file, profile, and whether they name it.

    None when they give keys, or a web identity, themselves.
    """
    if environment.get("AWS_ACCESS_KEY_ID") or environment.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        return None
    named, profile = environment.get("AWS_SHARED_CREDENTIALS_FILE"), environment.get("AWS_PROFILE")
    try:
        path = Path(named or "~/.aws/credentials").expanduser()
    except RuntimeError:  # a user without a home
        return None
    return path, profile or "default", bool(named or profile)


def strange_variables(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Say of each variable that begins as ours do and is none of them that it is not heard, with the likeliest one."""
    known = {name.upper() for name in Settings.model_fields}
    lines = []
    for variable in sorted(environment):
        prefix, rest = variable[:11].upper(), variable[11:].upper()
        if prefix != "SMARTCOVER_" or rest in known or rest.startswith(_OF_TESTS):
            continue
        if _OF_KUBERNETES.fullmatch(rest) or environment[variable].startswith(_KUBERNETES_ADDRESS):
            continue
        near = difflib.get_close_matches(rest, known, n=1, cutoff=_ALIKE)
        hint = f"did you mean SMARTCOVER_{near[0]}?" if near else "smartcover settings lists all"
        lines.append(f"{variable} is not a setting; {hint}")
    return lines
