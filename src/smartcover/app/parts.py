"""The working parts of a process, made from settings: the worker, the dispatcher of callbacks and the sweeper."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version as package_version
from random import SystemRandom
from uuid import uuid4

import structlog

from smartcover import callbacks
from smartcover.app.metrics import HouseMetrics
from smartcover.engine.safety import available as safety_available
from smartcover.errors import BadParameter, SettingsError, SmartCoverError
from smartcover.ledger import Job, Ledger, NewDelivery, Retention, expire
from smartcover.protocol import new_id
from smartcover.settings import Settings
from smartcover.storage import BucketStore
from smartcover.worker import BatchLoop, EngineLimits, EngineRunner, TriggerLoop, Worker, WorkerConfig, WorkerMetrics

_log = structlog.get_logger(__name__)

#: Seconds between two rounds of housekeeping.
_HOUSEKEEPING_SECONDS = 60.0


def egress_policy(settings: Settings) -> callbacks.EgressPolicy:
    """Say what callbacks may reach."""
    return callbacks.EgressPolicy(allow=settings.callback_allow, ports=settings.callback_ports)


def broker_of(settings: Settings) -> callbacks.Broker | None:
    """
    Say which broker carries callbacks to message queues, or None when there is none.

    Raises:
        SettingsError: If the setting names none that is known.
    """
    if settings.broker_url is None:
        return None
    return callbacks.read_broker(settings.broker_url.get_secret_value(), prefix=settings.broker_prefix)


def check_powers(settings: Settings) -> None:
    """
    Return if the optional powers of the engine that were asked for are here.

    Raises:
        SettingsError: If one is not; every job would fail by it.
    """
    if settings.safety and not safety_available():
        raise SettingsError('SMARTCOVER_SAFETY is on without its network; pip install "smartcover[safety]"')
    if settings.scorer is not None:
        from smartcover.engine.scorer_hook import UserScorer  # only here: it brings the model runtime along

        try:
            UserScorer.load(settings.scorer)
        except BadParameter as error:
            raise SettingsError(
                f"SMARTCOVER_SCORER={settings.scorer} cannot be used: {error.public}", detail=error.detail
            ) from error


def make_engine(settings: Settings) -> EngineRunner:
    """
    Make the runner of engine children.

    Raises:
        SettingsError: If the engine has not what the settings ask of it.
    """
    check_powers(settings)
    return EngineRunner(
        limits=EngineLimits(
            seconds=settings.job_timeout_seconds,
            memory_bytes=settings.job_memory_bytes,
            max_pixels=settings.max_video_pixels,
        ),
        concurrency=settings.worker_concurrency,
    )


def make_worker(
    settings: Settings, ledger: Ledger, store: BucketStore, engine: EngineRunner, metrics: WorkerMetrics | None = None
) -> Worker:
    """Make the work loop."""

    def deliveries_of(job: Job) -> list[NewDelivery]:
        owed = callbacks.task_finish_delivery(
            job,
            delivery_id=str(uuid4()),
            zone_offset_minutes=settings.time_zone_offset_minutes,
            json_array=settings.callback_json_array,
            md5_info=settings.callback_md5_info,
        )
        return [owed] if owed else []

    config = WorkerConfig(
        worker_id=f"{socket.gethostname()}-{uuid4().hex[:8]}",
        concurrency=settings.worker_concurrency,
        lease_seconds=settings.lease_seconds,
        max_attempts=settings.job_max_attempts,
        storage_wait_seconds=settings.storage_wait_seconds,
        grace_seconds=settings.shutdown_grace_seconds,
        safety=settings.safety,
        scorer=settings.scorer,
        gpu=settings.gpu,
    )
    return Worker(ledger, store, engine, config=config, deliveries_of=deliveries_of, metrics=metrics)


def make_trigger_loop(ledger: Ledger, store: BucketStore) -> TriggerLoop:
    """Make the loop that starts workflow runs."""
    return TriggerLoop(ledger, store, new_id=lambda letter: new_id(letter, uuid4().hex))


def make_batch_loop(settings: Settings, ledger: Ledger, store: BucketStore) -> BatchLoop:
    """Make the loop that works through batches."""
    return BatchLoop(
        ledger,
        store,
        new_id=lambda letter: new_id(letter, uuid4().hex),
        storage_wait_seconds=settings.storage_wait_seconds,
    )


def make_dispatcher(
    settings: Settings, ledger: Ledger, observer: callbacks.DispatchObserver | None = None
) -> callbacks.Dispatcher:
    """
    Make the loop that delivers callbacks, to URLs and to the broker if there is one.

    Raises:
        SettingsError: If the CA file, a secret or the broker cannot be used.
    """
    secret = settings.callback_secret.get_secret_value() if settings.callback_secret else None
    keys = callbacks.read_secrets(secret)
    senders: dict[str, callbacks.Sender] = {
        "Url": callbacks.HttpSender(
            callbacks.HttpConfig(
                policy=egress_policy(settings),
                user_agent=f"smartcover/{package_version('smartcover')}",
                connect_timeout_seconds=settings.callback_connect_timeout_seconds,
                timeout_seconds=settings.callback_timeout_seconds,
                ca_file=settings.callback_ca_file,
                signing_keys=keys,
            ),
            now=lambda: datetime.now(UTC),
        )
    }
    broker = broker_of(settings)
    if broker is not None:
        senders["TDMQ"] = callbacks.QueueSender(
            callbacks.QueueConfig(
                broker=broker,
                connect_timeout_seconds=settings.callback_connect_timeout_seconds,
                timeout_seconds=settings.callback_timeout_seconds,
                ca_file=settings.callback_ca_file,
                signing_keys=keys,
            ),
            now=lambda: datetime.now(UTC),
        )
    config = callbacks.DispatchConfig(
        schedule=callbacks.Schedule(settings.callback_schedule, jitter=settings.callback_jitter),
        concurrency=settings.callback_concurrency,
        per_destination=settings.callback_concurrency_per_destination,
        lease_seconds=settings.callback_timeout_seconds + 10.0,
        grace_seconds=settings.callback_timeout_seconds + 1.0,
        gate=callbacks.GateConfig(rate_per_second=settings.callback_rate_per_destination),
    )
    return callbacks.Dispatcher(ledger, senders, config=config, random=SystemRandom(), observer=observer)


async def keep_house(
    settings: Settings, ledger: Ledger, store: BucketStore, metrics: HouseMetrics, stop: asyncio.Event
) -> None:
    """Remove, from time to time until `stop` is set, what nothing refers to and what has been over for long."""
    retention = Retention(
        jobs_days=settings.retention_jobs_days,
        deliveries_days=settings.retention_deliveries_days,
        events_days=settings.retention_events_days,
    )
    while not stop.is_set():
        # A first round over years of rows may last; each of its steps is whole by itself, so a stop cuts it short.
        tidying = asyncio.create_task(_tidy(ledger, store, retention, metrics))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({tidying, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            tidying.cancel()
            stopping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await tidying
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _HOUSEKEEPING_SECONDS)


async def _tidy(ledger: Ledger, store: BucketStore, retention: Retention, metrics: HouseMetrics) -> None:
    """Make one round; a store that is away does not keep old rows, nor a database old staging."""
    failed = False
    try:
        await store.sweep()
    except SmartCoverError as error:
        failed = True
        _log.warning("cannot keep house", part="storage", error=error.public, detail=error.detail)
    gone: Mapping[str, int] = {}
    try:
        gone = await expire(ledger.database, retention)
    except SmartCoverError as error:
        failed = True
        _log.warning("cannot keep house", part="database", error=error.public, detail=error.detail)
    if any(gone.values()):
        _log.info("deleted what was kept long enough", **gone)
    metrics.round_ended(gone, failed=failed)
