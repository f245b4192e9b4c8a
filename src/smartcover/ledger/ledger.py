"""
The durable state of the service, in domain words.

Each method is one transaction or one reading. What a state change owes (a callback) is written in its transaction,
and nothing is announced to other processes before it is committed: NOTIFY is part of the transaction too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from smartcover.errors import AlreadyFinished, BadParameter, LeaseLost, LedgerError, UnknownJob
from smartcover.ledger import rows
from smartcover.ledger.batches import Batches
from smartcover.ledger.bindings import Bindings
from smartcover.ledger.database import Database, notify
from smartcover.ledger.finishing import QUERIES, Finishing, owe, stored_text
from smartcover.ledger.listing import JobFilter, JobPage, JobPosition, list_jobs
from smartcover.ledger.model import (
    Attempt,
    AttemptReport,
    Claim,
    Delivery,
    DeliveryFilter,
    DeliveryState,
    Job,
    NewJob,
    Queue,
)
from smartcover.ledger.queues import DEFAULT_LIMITS, QueueLimits, Queues
from smartcover.ledger.runs import WhenRunEnds, owes_nothing, settle_run
from smartcover.ledger.submissions import Submission, add_at_once, add_jobs, earlier_jobs, lock_submission
from smartcover.ledger.team_keys import TeamKeys
from smartcover.ledger.templates import Templates
from smartcover.ledger.wakeups import CANCEL, Wakeups
from smartcover.ledger.workflows import Workflows

#: Queues that one claim looks at; the rest comes with the next claim.
_QUEUES_PER_CLAIM = 16
_SWEEP_BATCH = 100
_REDELIVER_BATCH = 500


class Ledger:
    """
    Jobs and deliveries in PostgreSQL, with their queues, templates and bindings. Make it with `connect`.

    Every method raises `LedgerUnavailable` when the database does not answer; nothing was changed then, except that a
    commit whose answer got lost may have happened.
    """

    def __init__(
        self,
        database: Database,
        *,
        make_token: Callable[[], UUID] = uuid4,
        make_hex: Callable[[], str] = lambda: uuid4().hex,
        queue_limits: QueueLimits = DEFAULT_LIMITS,
        when_run_ends: WhenRunEnds = owes_nothing,
    ) -> None:
        self._database = database
        self._make_token = make_token
        self._when_run_ends = when_run_ends
        self.queues = Queues(database, make_hex=make_hex, limits=queue_limits)
        self.templates = Templates(database)
        self.bindings = Bindings(database)
        self.workflows = Workflows(database)
        self.batches = Batches(database, when_run_ends)
        self.keys = TeamKeys(database)
        self._cancelled = 0

    @classmethod
    async def connect(
        cls,
        dsn: str,
        *,
        pool_size: int = 16,
        make_token: Callable[[], UUID] = uuid4,
        make_hex: Callable[[], str] = lambda: uuid4().hex,
        queue_limits: QueueLimits = DEFAULT_LIMITS,
        when_run_ends: WhenRunEnds = owes_nothing,
    ) -> Ledger:
        """
        Open a ledger on a database whose schema is up to date.

        Args:
            queue_limits: What new queues get.
            when_run_ends: Makes the callbacks that a workflow run owes when its last job ends, whoever ends that.
        """
        database = await Database.connect(dsn, pool_size=pool_size)
        return cls(
            database,
            make_token=make_token,
            make_hex=make_hex,
            queue_limits=queue_limits,
            when_run_ends=when_run_ends,
        )

    @property
    def database(self) -> Database:
        """The connections, for other parts of the ledger."""
        return self._database

    @property
    def cancelled_jobs(self) -> int:
        """Count the jobs that were cancelled through this object, one by one or with their batch."""
        return self._cancelled + self.batches.cancelled_jobs

    async def close(self) -> None:
        """Close the connections; calls under way are cut off."""
        self._database.close()

    async def ping(self) -> None:
        """Return if the database answers."""
        async with self._database.connection("ping") as connection:
            await QUERIES.ping(connection)

    def listen(self) -> Wakeups:
        """Hear of new work and of cancelled jobs, inside `async with`."""
        return self._database.listen()

    async def default_queue(self, bucket: str) -> Queue:
        """Give the bucket's default queue, made if it is missing."""
        return await self.queues.default(bucket)

    async def queue(self, bucket: str, queue_id: str) -> Queue:
        """Give a queue of the bucket, or raise `UnknownQueue`."""
        return await self.queues.get(bucket, queue_id)

    # Jobs

    async def submit(self, jobs: Sequence[NewJob], submission: Submission | None = None) -> tuple[Job, ...]:
        """
        Store all jobs or none, and give them as stored: they are committed when this returns.

        A `submission` that repeats an earlier one adds nothing and gives the jobs of that one, as they stand now.

        Raises:
            QueueFull: If a queue would hold more waiting jobs than it may.
            BadParameter: If the submission's token was used for another body.
        """
        if not jobs:
            raise BadParameter("there is no job to submit; give at least one Operation")
        bucket = jobs[0].bucket
        stored: tuple[Job, ...] | None
        one_queue = all(job.queue_id == jobs[0].queue_id for job in jobs)
        if one_queue and (submission is None or not submission.may_repeat):
            async with self._database.connection("submit") as connection:
                stored = await add_at_once(connection, jobs, submission)
            if stored is not None:
                return stored
        async with self._database.transaction("submit") as connection:
            if submission is not None:
                await lock_submission(connection, bucket, submission)
                earlier = await self._repeated(connection, bucket, submission)
                if earlier is not None:
                    return earlier
            return await add_jobs(connection, jobs, submission)

    async def submitted_before(self, bucket: str, submission: Submission) -> tuple[Job, ...] | None:
        """
        Give the jobs of the submit that this one repeats, as they stand now; None when it is a new one.

        Raises:
            BadParameter: If the submission's token was used for another body.
        """
        async with self._database.connection("look for an earlier submit") as connection:
            return await self._repeated(connection, bucket, submission)

    async def _repeated(self, connection: Any, bucket: str, submission: Submission) -> tuple[Job, ...] | None:
        job_ids = await earlier_jobs(connection, bucket, submission)
        if job_ids is None:
            return None
        found = {row["job_id"]: rows.job(row) async for row in QUERIES.jobs(connection, bucket=bucket, job_ids=job_ids)}
        # Jobs that retention has taken since cannot be shown again; the submit counts as new then.
        return tuple(found[job_id] for job_id in job_ids) if len(found) == len(job_ids) else None

    async def list_jobs(
        self,
        bucket: str,
        wanted: JobFilter,
        *,
        newest_first: bool = True,
        after: JobPosition | None = None,
        limit: int = 10,
    ) -> JobPage:
        """Give one page of a bucket's jobs in the order of creation."""
        return await list_jobs(self._database, bucket, wanted, newest_first=newest_first, after=after, limit=limit)

    async def jobs(self, bucket: str, job_ids: Sequence[str]) -> dict[str, Job]:
        """Give those of the jobs that exist in the bucket, by id."""
        async with self._database.connection("jobs") as connection:
            found = [row async for row in QUERIES.jobs(connection, bucket=bucket, job_ids=list(job_ids))]
        return {row["job_id"]: rows.job(row) for row in found}

    async def job(self, job_id: str) -> Job:
        """Give a job of any bucket, or raise `UnknownJob`."""
        async with self._database.connection("job") as connection:
            row = await QUERIES.job(connection, job_id=job_id)
        if row is None:
            raise UnknownJob(f"job {job_id!r} does not exist")
        return rows.job(row)

    async def cancel(self, bucket: str, job_id: str) -> Job:
        """
        Cancel a job that waits or runs; a worker that runs it hears of it and stops.

        Raises:
            UnknownJob: If the job does not exist in this bucket.
            AlreadyFinished: If it has ended, cancelled before included.
        """
        async with self._database.transaction("cancel") as connection:
            row = await QUERIES.cancel_job(connection, bucket=bucket, job_id=job_id)
            if row is not None:
                job = rows.job(row)
                await notify(connection, f"{CANCEL}{job_id}")
                await notify(connection, "jobs")
                await owe(connection, await settle_run(connection, job, row["ended_at"], self._when_run_ends), job)
        if row is not None:
            self._cancelled += 1
            return job
        found = (await self.jobs(bucket, [job_id])).get(job_id)
        if found is None:
            raise UnknownJob(f"job {job_id!r} does not exist in bucket {bucket}")
        raise AlreadyFinished(f"job {job_id} has ended as {found.state.value} and cannot be cancelled any more")

    # Work

    async def claim_jobs(
        self, worker_id: str, *, limit: int, lease_seconds: float, fresh_first: bool = False
    ) -> list[Claim]:
        """
        Take up to `limit` waiting jobs, highest level first, then oldest.

        A queue's max_concurrent holds over all workers. Each claim counts an attempt and has a token of its own.

        Args:
            fresh_first: Whether jobs that were handed back with a delay come after all others, whatever their level.
        """
        if limit <= 0:
            return []
        claim_jobs = QUERIES.claim_jobs_fresh_first if fresh_first else QUERIES.claim_jobs
        async with self._database.connection("claim jobs") as connection:
            taken = claim_jobs(
                connection,
                most=limit,
                worker_id=worker_id,
                tokens=[self._make_token() for _ in range(limit)],
                lease_seconds=lease_seconds,
                most_queues=_QUEUES_PER_CLAIM,
            )
            claims = [rows.claim(row) async for row in taken]
        return sorted(claims, key=lambda claim: (-claim.job.spec.level, claim.job.seq))

    async def renew(self, leases: Sequence[UUID], *, lease_seconds: float) -> frozenset[UUID]:
        """Make leases last from now on, and give those that are still held."""
        async with self._database.connection("renew leases") as connection:
            kept = QUERIES.renew_leases(connection, tokens=list(leases), lease_seconds=lease_seconds)
            return frozenset([row["lease_token"] async for row in kept])

    async def hand_back(
        self, claim: Claim, *, delay_seconds: float = 0.0, counted: bool = False, held_up: bool = False
    ) -> bool:
        """
        Return a job unfinished, and tell whether this claim still held it.

        Nobody starts the job before the delay is over.

        Args:
            counted: Whether the attempt counts, as when it may be the job's own doing that it came to nothing.
            held_up: Whether this start and the delay count for `held_up_seconds`, as when the store is away.
        """
        async with self._database.transaction("hand back") as connection:
            returned = await QUERIES.hand_back_job(
                connection,
                job_id=claim.job.job_id,
                token=claim.lease_token,
                delay_seconds=delay_seconds,
                counted=counted,
                held_up=held_up,
            )
            if returned is not None:
                await notify(connection, "jobs")
        return returned is not None

    async def held_up_seconds(self, job_id: str) -> float:
        """Tell for how long a job has been held up, over all its starts; waiting for its turn hardly counts."""
        async with self._database.connection("how long a job was held up") as connection:
            return float(await QUERIES.held_up_seconds(connection, job_id=job_id))

    async def sweep(self) -> int:
        """Take back jobs whose lease ran out, and tell how many; their attempts stay counted."""
        async with self._database.transaction("sweep") as connection:
            swept = [row async for row in QUERIES.sweep_jobs(connection, most=_SWEEP_BATCH)]
            if swept:
                await notify(connection, "jobs")
        return len(swept)

    @asynccontextmanager
    async def finishing(self, claim: Claim) -> AsyncIterator[Finishing]:
        """
        End a job that this worker holds: a transaction in which the job's row is locked.

        What happens inside is this worker's alone. `succeed` or `fail` must be called; any exception rolls back.

        Raises:
            LeaseLost: If the job was cancelled, swept or ended meanwhile; nothing inside was run.
        """
        async with self._database.transaction("finish a job") as connection:
            row = await QUERIES.lock_running_job(connection, job_id=claim.job.job_id, token=claim.lease_token)
            if row is None:
                raise LeaseLost(detail=claim.job.job_id)
            finishing = Finishing(rows.job(row), row["now"], connection, self._when_run_ends)
            yield finishing
            if not finishing.called:
                raise LedgerError(
                    detail=f"{claim.job.job_id} was locked to end, and neither succeed nor fail was called"
                )

    # Deliveries

    async def claim_deliveries(
        self, *, limit: int, lease_seconds: float, per_destination: int, avoid: Collection[str] = ()
    ) -> list[Delivery]:
        """
        Take due deliveries, at most `per_destination` in flight to one destination over all processes.

        Each counts a try; one that is not recorded within the lease is due again.
        """
        async with self._database.connection("claim deliveries") as connection:
            taken = [
                row
                async for row in QUERIES.claim_deliveries(
                    connection,
                    most=limit,
                    lease_seconds=lease_seconds,
                    per_destination=per_destination,
                    avoid=list(avoid),
                )
            ]
        return sorted((rows.delivery(row) for row in taken), key=lambda delivery: delivery.created_at)

    async def release_delivery(self, delivery_id: str, *, delay_seconds: float) -> None:
        """Give a delivery back untried; its try is not counted, and it is due after the delay."""
        async with self._database.connection("release delivery") as connection:
            await QUERIES.release_delivery(connection, delivery_id=delivery_id, delay_seconds=delay_seconds)

    async def record_attempt(
        self,
        delivery_id: str,
        report: AttemptReport,
        *,
        state: DeliveryState,
        retry_in_seconds: float | None,
        reason: str,
    ) -> None:
        """Write down a try and what it leads to; a delivery that has ended already stays as it is."""
        async with self._database.connection("record attempt") as connection:
            await QUERIES.record_attempt(
                connection,
                delivery_id=delivery_id,
                state=state.value,
                retry_in_seconds=retry_in_seconds or 0.0,
                reason=stored_text(reason),
                outcome=report.outcome,
                duration_seconds=report.duration_seconds,
                address=report.address,
                http_status=report.http_status,
                error=None if report.error is None else stored_text(report.error),
                answer_head=report.answer_head,
                retry_after_seconds=report.retry_after_seconds,
            )

    async def next_due_seconds(self) -> float | None:
        """Tell in how many seconds the next unclaimed delivery is due, 0 or less when it is; None without one."""
        async with self._database.connection("next due") as connection:
            seconds: float | None = await QUERIES.next_due_seconds(connection)
        return seconds

    async def deliveries(
        self,
        *,
        job_id: str | None = None,
        state: DeliveryState | None = None,
        destination: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        before: int | None = None,
        limit: int = 100,
        buckets: tuple[str, ...] | None = None,
    ) -> list[Delivery]:
        """
        List deliveries that fit everything given, newest first.

        `since` and `until` are times of creation; `before` is the `seq` of the last delivery of the page before.
        """
        async with self._database.listing("deliveries") as connection:
            at = None
            if before is not None:
                place = await QUERIES.delivery_before(connection, before=before)
                if place is None:
                    return []
                at = place["created_at"]
                behind = at + timedelta(microseconds=1)  # as times_left does; `until` itself is left out here
                until = behind if until is None else min(until, behind)
            found = QUERIES.deliveries(
                connection,
                states=[state.value] if state is not None else [each.value for each in DeliveryState],
                job_id=job_id,
                destination=destination,
                since=since,
                until=until,
                at=at,
                before=before,
                buckets=None if buckets is None else [_like(pattern) for pattern in buckets],
                most=limit,
            )
            return [rows.delivery(row) async for row in found]

    async def redeliver(
        self, *, delivery_ids: Sequence[str] | None = None, wanted: DeliveryFilter | None = None
    ) -> int:
        """
        Send deliveries again, with the same id and bytes, and tell how many.

        One that had ended gets one more try and no new schedule; its tries so far stay. One that waits is brought
        forward, and one in flight is let be.

        Raises:
            BadParameter: If neither ids nor any condition is given: that would be everything there ever was.
        """
        wanted = wanted or DeliveryFilter()
        if delivery_ids is None and replace(wanted, buckets=None) == DeliveryFilter():
            raise BadParameter("give delivery ids, or at least one of job, state, destination and time")
        count, after = 0, 0
        while True:
            async with self._database.transaction("redeliver") as connection:
                batch = [
                    row["seq"]
                    async for row in QUERIES.redeliver(
                        connection,
                        after=after,
                        delivery_ids=None if delivery_ids is None else list(delivery_ids),
                        **_parameters(wanted),
                        most=_REDELIVER_BATCH,
                    )
                ]
                if batch:
                    await notify(connection, "deliveries")
            count += len(batch)
            if len(batch) < _REDELIVER_BATCH:
                return count
            after = max(batch)

    async def expire_deliveries(self, *, older_than_seconds: float, reason: str, limit: int = 500) -> list[Delivery]:
        """
        Give up deliveries that have waited for too long, whatever tries they have left; gives those that ended so.

        Redeliveries are let be: they are old by nature, and have one try.
        """
        async with self._database.transaction("expire deliveries") as connection:
            expired = QUERIES.expire_deliveries(
                connection, older_than_seconds=older_than_seconds, reason=stored_text(reason), most=limit
            )
            return [rows.delivery(row) async for row in expired]

    async def delivery(self, delivery_id: str) -> Delivery:
        """Give a delivery, or raise `BadParameter`."""
        async with self._database.connection("delivery") as connection:
            row = await QUERIES.delivery(connection, delivery_id=delivery_id)
        if row is None:
            raise BadParameter(f"delivery {delivery_id!r} does not exist")
        return rows.delivery(row)

    async def attempts(self, delivery_id: str) -> list[Attempt]:
        """List the tries of a delivery in order."""
        async with self._database.connection("attempts") as connection:
            return [rows.attempt(row) async for row in QUERIES.attempts(connection, delivery_id=delivery_id)]


def _parameters(wanted: DeliveryFilter) -> dict[str, Any]:
    return {
        "job_id": wanted.job_id,
        "state": None if wanted.state is None else wanted.state.value,
        "destination": wanted.destination,
        "since": wanted.since,
        "until": wanted.until,
        "buckets": None if wanted.buckets is None else [_like(pattern) for pattern in wanted.buckets],
    }


def _like(pattern: str) -> str:
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped[:-1] + "%" if escaped.endswith("*") else escaped
