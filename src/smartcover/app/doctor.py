"""
What would fail, found before it fails: `smartcover doctor`.

Each check looks at one thing with a deadline and says what it saw and, if it is bad, the way out.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import shutil
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from uuid import uuid4

from pydantic import SecretStr

from smartcover import callbacks
from smartcover.app.foundation import foundation
from smartcover.app.keyring import kept_secret_maker
from smartcover.app.parts import broker_of, check_powers, egress_policy
from smartcover.errors import (
    BucketMissing,
    BucketNotEmpty,
    LedgerUnavailable,
    ObjectMissing,
    SmartCoverError,
    StorageError,
    StoreBucketMissing,
    VideoError,
)
from smartcover.ledger import EmbeddedPostgres, Ledger, TeamKey
from smartcover.service import SecretMaker
from smartcover.settings import Settings, strange_variables
from smartcover.storage import BucketStore
from smartcover.worker import EngineLimits, EngineRunner

Level = Literal["ok", "warn", "fail"]

_CHECK_SECONDS = 60.0
_LEAST_FREE_BYTES = 1 << 30
_MOST_SKEW_SECONDS = 5.0
_CODECS = ("h264", "hevc", "vp9", "av1", "mpeg4", "mpeg2video", "vp8", "prores", "mjpeg")
_WEIGHTS = Path(__file__).resolve().parents[1] / "engine" / "models"
#: A bucket that nobody else uses; it is removed again.
_PROBE_BUCKET = "smartcover-doctor"
#: Most buckets that are looked for in an S3 store.
_MOST_BUCKETS = 50


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check saw; `advice` is the way out and empty when all is well."""

    check: str
    level: Level
    seen: str
    advice: str = ""


async def examine(settings: Settings, data: Path | None) -> list[Finding]:
    """
    Run every check that fits the settings, in order, and give what each found.

    Args:
        data: The data folder of a server that is complete in itself, None for roles on shared state. Where that
            server runs, its database is used beside it.
    """
    findings = [
        await _checked("settings", lambda: _settings(settings)),
        *(
            Finding("environment", "warn", line, "nothing hears it: correct or remove it")
            for line in strange_variables()
        ),
        await _checked("decoders", _codecs),
        await _checked("model weights", _models),
        await _checked("engine in a child process", lambda: _isolation(settings)),
    ]
    async with AsyncExitStack() as stack:
        started = time.monotonic()
        try:
            async with asyncio.timeout(_CHECK_SECONDS * 2):
                base = await stack.enter_async_context(foundation(_beside(settings, data), data))
        except (SmartCoverError, TimeoutError) as error:
            found = _failed("storage" if isinstance(error, StorageError) else "database", error)
            own = settings.database_url is None and isinstance(error, LedgerUnavailable)
            findings.append(replace(found, advice="it runs with the server, on the data folder") if own else found)
        else:
            seen = f"answers with the schema of this version, {time.monotonic() - started:.1f} s to open"
            findings.append(Finding("database", "ok", seen))
            findings.append(await _checked("clock", lambda: _clock(base.ledger)))
            findings.append(await _checked("storage", lambda: _storage(base.store)))
            findings.append(await _checked("keys of teams", lambda: _team_keys(settings, data, base.ledger)))
    scheme, _, place = settings.storage.partition(":")
    folder = data or (Path(place) if scheme == "file" and place else None)  # `data` holds the database in any case
    if folder is not None and folder.is_dir():
        findings.append(await _checked("disk", lambda: _disk(folder)))
    findings.append(await _checked("callbacks", lambda: _egress(settings)))
    return findings


def _beside(settings: Settings, data: Path | None) -> Settings:
    """Name the database of the server that runs on the data folder, if one does: it has one owner at a time."""
    running = None if data is None else EmbeddedPostgres.dsn_in_use(data / "postgres")
    return settings if running is None else settings.model_copy(update={"database_url": SecretStr(running)})


async def _checked(name: str, check: Callable[[], Awaitable[Finding]]) -> Finding:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            return await check()
    except (SmartCoverError, OSError, TimeoutError) as error:
        return _failed(name, error)


def _failed(name: str, error: BaseException) -> Finding:
    if isinstance(error, LedgerUnavailable):
        return Finding(name, "fail", error.public, "see whether SMARTCOVER_DATABASE_URL is right and PostgreSQL runs")
    if isinstance(error, StorageError):  # the words of the store's client run over many lines
        why = (error.detail or "").partition("\n")[0][:300]
        advice = "see whether SMARTCOVER_STORAGE, and SMARTCOVER_S3_… for a store, are right and the store runs"
        return Finding(name, "fail", f"{error.public} ({why})" if why else error.public, advice)
    if isinstance(error, SmartCoverError):
        return Finding(name, "fail", error.public, (error.detail or "")[-500:])
    if isinstance(error, TimeoutError):
        return Finding(name, "fail", f"no answer within {_CHECK_SECONDS:g} s", "see whether it is reachable from here")
    return Finding(name, "fail", str(error) or type(error).__name__)


async def _settings(settings: Settings) -> Finding:
    callbacks.read_secrets(settings.callback_secret.get_secret_value() if settings.callback_secret else None)
    callbacks.tls_context(settings.callback_ca_file)
    egress_policy(settings)
    broker_of(settings)
    check_powers(settings)
    if settings.worker_concurrency == 0:
        return Finding("settings", "warn", "SMARTCOVER_WORKER_CONCURRENCY is 0", "this process would make no covers")
    return Finding("settings", "ok", "readable and in their limits")


async def _codecs() -> Finding:
    import av.codec

    missing = [name for name in _CODECS if name not in av.codec.codecs_available]
    if missing:
        return Finding("decoders", "warn", f"missing: {', '.join(missing)}", "install PyAV from its own wheels")
    return Finding("decoders", "ok", ", ".join(_CODECS))


async def _models() -> Finding:
    notice = (_WEIGHTS / "NOTICE").read_text()
    weights = sorted(_WEIGHTS.glob("*.onnx"))
    wrong = [path.name for path in weights if hashlib.sha256(path.read_bytes()).hexdigest() not in notice]
    if wrong or not weights:
        return Finding(
            "model weights", "fail", f"damaged or missing: {', '.join(wrong) or _WEIGHTS}", "install smartcover again"
        )
    return Finding("model weights", "ok", f"{len(weights)} files as listed in NOTICE")


async def _isolation(settings: Settings) -> Finding:
    runner = EngineRunner(
        limits=EngineLimits(seconds=30.0, memory_bytes=settings.job_memory_bytes, max_pixels=settings.max_video_pixels),
        concurrency=1,
    )
    started = time.monotonic()
    try:
        await runner.probe()
    except VideoError as error:
        return Finding(
            "engine in a child process",
            "fail",
            error.public,
            f"raise SMARTCOVER_JOB_MEMORY_BYTES (now {settings.job_memory_bytes}); {error.detail or ''}",
        )
    finally:
        runner.close()
    seen = f"starts, answers and keeps its limits ({time.monotonic() - started:.1f} s for the first)"
    return Finding("engine in a child process", "ok", seen)


async def _clock(ledger: Ledger) -> Finding:
    async with ledger.database.connection("compare clocks") as connection:
        there = await connection.fetchval("SELECT clock_timestamp()")
    skew = abs((datetime.now(UTC) - there).total_seconds())
    if skew > _MOST_SKEW_SECONDS:
        return Finding(
            "clock",
            "warn",
            f"this machine and the database are {skew:.0f} s apart",
            "let both keep time by NTP: request signatures are judged by this machine's clock",
        )
    return Finding("clock", "ok", f"{skew * 1000:.0f} ms from the database's")


async def _storage(store: BucketStore) -> Finding:
    await store.check()
    try:
        await store.create_bucket(_PROBE_BUCKET, "doctor")
    except BucketMissing:  # an S3 store in which the operator makes the buckets: one of those must do
        return await _try_buckets(store)
    try:
        return await _try_object(store, _PROBE_BUCKET)
    finally:
        with contextlib.suppress(BucketNotEmpty):  # a doctor was killed here, or looks at this moment
            await store.delete_bucket(_PROBE_BUCKET)


async def _try_buckets(store: BucketStore) -> Finding:
    buckets = [bucket.name for bucket in await store.buckets()]
    if not buckets:
        return Finding(
            "storage",
            "warn",
            "the store answers, and no bucket to try is known yet",
            "make one in the store and name it in SMARTCOVER_BUCKETS",
        )
    there, lost = [], []
    for name in buckets[:_MOST_BUCKETS]:
        try:
            await store.list(name, limit=1)
        except StoreBucketMissing:
            lost.append(name)
        else:
            there.append(name)
    if lost:
        return Finding(
            "storage",
            "fail",
            f"{len(lost)} of {len(there) + len(lost)} buckets are not in the store: {', '.join(lost[:3])}",
            "their jobs wait: make them in the store again, or see whether SMARTCOVER_STORAGE, SMARTCOVER_S3_ENDPOINT "
            "and the keys are those of the right store",
        )
    return await _try_object(store, there[0])


async def _try_object(store: BucketStore, bucket: str) -> Finding:
    key = f"smartcover-doctor/{uuid4().hex}"
    content = uuid4().bytes

    async def body() -> AsyncIterator[bytes]:
        yield content

    await store.put(bucket, key, body(), headers={})
    try:
        async with store.read(bucket, key) as (_, chunks):
            read = b"".join([chunk async for chunk in chunks])
    finally:
        await store.delete(bucket, key)
    if read != content:
        return Finding("storage", "fail", "an object read back differs from what was written", "check the disk")
    with contextlib.suppress(ObjectMissing):
        await store.head(bucket, key)
        return Finding("storage", "fail", "a deleted object is still there", "check the store")
    return Finding("storage", "ok", "an object was written, read, deleted")


async def _team_keys(settings: Settings, data: Path | None, ledger: Ledger) -> Finding:
    """See whether the secrets of all key pairs can be derived here, as each API process has to."""
    maker = kept_secret_maker(settings, data)
    keys = [key for key in await ledger.keys.all() if key.seeds]
    check = "keys of teams"
    if not keys:
        return Finding(check, "ok", "there are none")
    dead = [key for key in keys if not any(_derivable(maker, key))]
    if dead:
        why = "there is no master secret here" if maker is None else "their secrets came from another master secret"
        return Finding(
            check,
            "fail",
            f"{len(dead)} of {len(keys)} cannot sign: {why} ({', '.join(key.secret_id for key in dead[:3])})",
            f"{'set SMARTCOVER_KEYS_SECRET' if data is None else 'restore keys.secret in the data folder'} as it was "
            "when they were made (SMARTCOVER_KEYS_SECRET=new,old takes several), or rotate them",
        )
    assert maker is not None  # else none could be derived
    if halves := [key for key in keys if not all(_derivable(maker, key))]:
        return Finding(
            check,
            "warn",
            f"{len(halves)} of {len(keys)} have a secret in force that came from a master secret not known here",
            "add it behind the new one (SMARTCOVER_KEYS_SECRET=new,old) until the old secrets have ended",
        )
    old = sum(any(seed.master != maker.fingerprint for seed in key.seeds) for key in keys)
    rest = f"; {old} still need an older master secret" if old else ""
    return Finding(check, "ok", f"the secrets of all {len(keys)} can be derived here{rest}")


def _derivable(maker: SecretMaker | None, key: TeamKey) -> list[bool]:
    return [maker is not None and maker.secret_of(key.secret_id, seed) is not None for seed in key.seeds]


async def _disk(data: Path) -> Finding:
    free = shutil.disk_usage(data).free
    if free < _LEAST_FREE_BYTES:
        return Finding("disk", "warn", f"{free >> 20} MiB free below {data}", "make room: uploads stop when it is full")
    return Finding("disk", "ok", f"{free >> 30} GiB free below {data}")


async def _egress(settings: Settings) -> Finding:
    allowed = ", ".join(settings.callback_allow) or "public addresses only"
    names = [word for word in settings.callback_allow if not _is_address(word) and not word.startswith("*.")]
    loop = asyncio.get_running_loop()
    unknown: Sequence[str] = []
    for name in names:
        try:
            await loop.getaddrinfo(name, None)
        except socket.gaierror:
            unknown = [*unknown, name]
    if unknown:
        return Finding(
            "callbacks", "warn", f"cannot resolve {', '.join(unknown)}", "correct SMARTCOVER_CALLBACK_ALLOW or the DNS"
        )
    return Finding("callbacks", "ok", f"may reach {allowed}")


def _is_address(word: str) -> bool:
    return all(character in "0123456789abcdefABCDEF.:/" for character in word)
