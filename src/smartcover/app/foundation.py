"""What every role stands on: the database at the schema this version knows, the ledger on it, and the object store."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from smartcover.app.database_wait import DatabaseWait
from smartcover.app.folders import objects_folder
from smartcover.app.owed import owed_by_runs
from smartcover.errors import SettingsError
from smartcover.ledger import (
    Database,
    EmbeddedPostgres,
    Ledger,
    Pool,
    PoolUsage,
    QueueLimits,
    check_schema,
    open_pool,
    upgrade,
)
from smartcover.settings import Settings, shared_keys_place
from smartcover.storage import BucketStore, LocalStore, S3Options, S3Store, SharedKeys, require_known_folder

#: How far our clock may be ahead of the store's, which judges when the address of a video has expired.
_CLOCKS_APART_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Foundation:
    """
    The durable state as one process sees it.

    `objects` is the database as the store reaches it; `folder` holds the objects, None where a store of its own does.
    """

    ledger: Ledger
    store: BucketStore
    objects: Database
    pools: Mapping[str, Callable[[], PoolUsage]]
    folder: Path | None


@contextlib.asynccontextmanager
async def foundation(
    settings: Settings, data: Path | None, wait: DatabaseWait | None = None, *, slots: int | None = None
) -> AsyncIterator[Foundation]:
    """
    Open the database and the store for as long as the block lasts.

    The embedded database is started here and brought to this version's schema; one at `SMARTCOVER_DATABASE_URL` is
    only checked, because other processes may still run the version before.

    Args:
        data: The folder of the embedded database and of local objects; None when this process has none.
        wait: How long a database may be away; None tries once.
        slots: How many jobs the process works on at once, if it does nothing else.

    Raises:
        SettingsError: If there is no database or no store to use, or the schema is another version's, or the database
            does not let us in.
        LedgerUnavailable: If the database does not answer.
    """
    wait = wait or DatabaseWait()
    async with contextlib.AsyncExitStack() as stack:
        if settings.database_url is not None:
            dsn = settings.database_url.get_secret_value()
            await wait.through(partial(check_schema, dsn))
        elif data is not None:
            embedded = EmbeddedPostgres(data / "postgres")
            stack.push_async_callback(embedded.stop)
            dsn = await embedded.start()
            await wait.through(partial(upgrade, dsn))
        else:
            raise SettingsError(
                "a role of its own needs a database that all roles share; set SMARTCOVER_DATABASE_URL "
                "(smartcover serve brings its own)"
            )
        for_ledger, for_store = share_connections(settings.database_pool_size, slots)
        ledger = await Ledger.connect(
            dsn,
            pool_size=for_ledger,
            queue_limits=QueueLimits(settings.queue_max_concurrent, settings.queue_max_size),
            when_run_ends=owed_by_runs(settings),
        )
        stack.push_async_callback(ledger.close)
        # A pool of its own: publishing covers happens inside a ledger transaction, and two users of one exhausted
        # pool would wait for each other for ever.
        pool = await open_pool(dsn, pool_size=for_store)
        stack.callback(pool.terminate)
        pools: Mapping[str, Callable[[], PoolUsage]] = {
            "ledger": ledger.database.usage,
            "storage": pool.usage,
        }
        objects = Database(dsn, pool)
        root = None if settings.storage.startswith("s3:") else objects_folder(settings, data)
        if root is not None:
            await wait.through(partial(require_known_folder, root, pool))
        yield Foundation(ledger, _store(settings, data, pool), objects, pools, root)


def share_connections(most: int, slots: int | None) -> tuple[int, int]:
    """
    Share a process's connections between ledger and store.

    A worker's statements are few and short: with half a connection for each slot none waits long, and many workers
    fit one server.
    """
    if slots is not None:
        most = min(most, 6 + slots // 2)
    for_store = max(2, most * 3 // 8)
    return most - for_store, for_store


def _store(settings: Settings, data: Path | None, pool: Pool) -> BucketStore:
    """Open what `SMARTCOVER_STORAGE` names."""
    if not settings.storage.startswith("s3:"):
        return LocalStore(objects_folder(settings, data), pool, max_object_bytes=settings.max_object_bytes)
    secret, token = settings.s3_secret_access_key, settings.s3_session_token
    place = shared_keys_place()
    options = S3Options(
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        access_key_id=settings.s3_access_key_id,
        secret_access_key=None if secret is None else secret.get_secret_value(),
        session_token=None if token is None else token.get_secret_value(),
        path_style=settings.s3_path_style,
        allow_http=settings.s3_allow_http,
        shared_keys=None if place is None else SharedKeys(*place),
    )
    return S3Store(
        settings.storage,
        options,
        pool,
        max_object_bytes=settings.max_object_bytes,
        read_budget_bytes=settings.s3_read_budget_bytes,
        signed_seconds=settings.job_timeout_seconds + _CLOCKS_APART_SECONDS,
    )
