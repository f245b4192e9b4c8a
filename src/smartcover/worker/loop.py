"""
The work loop: claim, run, publish, finish; and the watch over leases.

A job is safe at every line of this file: until its end is committed, its lease runs out by itself and another
worker takes it. What a worker that lost its lease still does changes nothing, because finishing checks the lease
in the transaction that publishes.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from prometheus_client import CollectorRegistry

from smartcover.engine import CoverOptions
from smartcover.errors import (
    BadParameter,
    BucketMissing,
    EngineCrashed,
    EngineKilled,
    LeaseLost,
    LedgerError,
    ObjectMissing,
    SmartCoverError,
)
from smartcover.ledger import Claim, CoverReport, Job, JobResult, JobState, Ledger, NewDelivery, Wakeups
from smartcover.protocol import expand_name
from smartcover.storage import BucketStore, StagedObject, find_input
from smartcover.worker.isolate import EngineRunner, PickedCover, PickedCovers
from smartcover.worker.metrics import HandedBack, WorkerMetrics
from smartcover.worker.patience import given_up_message, longest_held_up_seconds, next_wait_seconds
from smartcover.worker.waiting import first_of

_log = structlog.get_logger(__name__)

_CONTENT_TYPES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}

#: Seconds until the loop looks for work although nobody woke it.
_IDLE_LOOK_SECONDS = 5.0
#: Seconds to wait after a failure of the database or the store before the next try.
_PAUSE_AFTER_FAILURE_SECONDS = 1.0
#: Seconds after which a job whose decoder was killed is tried again.
_RETRY_DELAY_SECONDS = 10.0
#: Of so many claims one takes jobs in their order; the others take those that were handed back to wait after the rest,
#: which thousands of jobs whose videos cannot be read would else keep from their turn.
_CLAIMS_PER_TURN_OF_ALL = 8
#: Longest time that handing back takes when a stop must not wait.
_LET_GO_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """
    How one worker works; `worker_id` names it in the ledger and in logs.

    `safety`, `scorer` and `gpu` are the optional powers of the engine (see `CoverOptions`).
    """

    worker_id: str
    concurrency: int = 2
    lease_seconds: float = 15.0
    max_attempts: int = 8
    storage_wait_seconds: float = 86_400.0
    grace_seconds: float = 20.0
    safety: bool = False
    scorer: Path | None = None
    gpu: bool = False


class Worker:
    """
    Runs jobs until told to stop.

    Args:
        deliveries_of: Makes the callbacks that a finished job owes; called with the job in its final state.
    """

    def __init__(
        self,
        ledger: Ledger,
        store: BucketStore,
        engine: EngineRunner,
        *,
        config: WorkerConfig,
        deliveries_of: Callable[[Job], Sequence[NewDelivery]],
        metrics: WorkerMetrics | None = None,
    ) -> None:
        self._metrics = metrics or WorkerMetrics(CollectorRegistry(), slots=config.concurrency)
        self._ledger = ledger
        self._store = store
        self._engine = engine
        self._config = config
        self._deliveries_of = deliveries_of
        self._claims = itertools.count(1)
        self._running: dict[UUID, tuple[Claim, asyncio.Task[None]]] = {}
        #: Leases of jobs that came to their end here and are only tidied up behind: these cannot be lost any more.
        self._ended: set[UUID] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; then let running jobs end within the grace time and hand back the others."""
        async with self._ledger.listen() as wakeups:
            companions = [
                asyncio.create_task(self._renew_for_ever()),
                asyncio.create_task(self._sweep_for_ever()),
                asyncio.create_task(self._heed_cancels(wakeups)),
            ]
            try:
                while not stop.is_set():
                    await self._claim_once(wakeups, stop)
                    for companion in companions:
                        if companion.done():  # a fault of ours: better no worker than one whose leases run out
                            companion.result()
                await self._finish_running()
            except asyncio.CancelledError:  # the second signal: no grace, but nobody need wait for a lease either
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LET_GO_SECONDS):
                        await self._let_go()
                raise
            finally:
                for companion in companions:
                    companion.cancel()
                await asyncio.gather(*companions, return_exceptions=True)

    async def _claim_once(self, wakeups: Wakeups, stop: asyncio.Event) -> None:
        free = self._config.concurrency - len(self._running)
        claims: list[Claim] = []
        if free > 0:
            try:
                claims = await self._ledger.claim_jobs(
                    self._config.worker_id,
                    limit=free,
                    lease_seconds=self._config.lease_seconds,
                    fresh_first=next(self._claims) % _CLAIMS_PER_TURN_OF_ALL != 0,
                )
            except LedgerError as error:
                _log.warning("cannot claim jobs", error=error.public, detail=error.detail)
                await first_of(asyncio.sleep(_PAUSE_AFTER_FAILURE_SECONDS), stop.wait())
                return
        for claim in claims:
            task = asyncio.create_task(self._work(claim), name=claim.job.job_id)
            self._running[claim.lease_token] = (claim, task)
        if len(claims) < free or free <= 0:
            waits: list[Coroutine[Any, Any, Any]] = [stop.wait(), self._one_ended()]
            if free > 0:
                waits.append(wakeups.wait("jobs", _IDLE_LOOK_SECONDS))
            await first_of(*waits)

    async def _one_ended(self) -> None:
        tasks = [task for _, task in self._running.values()]
        if tasks:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.Event().wait()

    async def _work(self, claim: Claim) -> None:
        job = claim.job
        # For every line in the course of this job, whoever writes it; the task is the job's own.
        structlog.contextvars.bind_contextvars(**_names(job))
        self._metrics.started(job)
        try:
            await self._run_and_finish(claim)
        except LeaseLost:
            self._metrics.lost()
            _log.warning("the job went to another worker or was cancelled; its result here is dropped")
        except asyncio.CancelledError:
            _log.info("the job was stopped")
        except EngineKilled as error:
            # Not the video's fault, so it is tried again; but one that brings the machine down each time must end.
            _log.warning("the decoder was killed; the job is tried again", error=error.public, detail=error.detail)
            await self._hand_back(claim, "killed", delay_seconds=_RETRY_DELAY_SECONDS, counted=True)
        except Exception as error:  # noqa: BLE001 - the last line of defence of other jobs
            if isinstance(error, SmartCoverError) and error.retryable:
                _log.warning("the job waits for its lease to run out", error=error.public, detail=error.detail)
            else:
                self._metrics.fault()
                # Our own fault, not the video's: the lease runs out and the attempt counts, so this ends.
                _log.exception("the attempt failed by a fault of smartcover")
        finally:
            self._metrics.stopped()
            self._running.pop(claim.lease_token, None)
            self._ended.discard(claim.lease_token)

    async def _run_and_finish(self, claim: Claim) -> None:
        try:
            await self._run(claim)
        except SmartCoverError as error:
            if not error.retryable:
                raise
            await self._try_later(claim, error)

    async def _try_later(self, claim: Claim, error: SmartCoverError) -> None:
        """Hand back a job that the store or the database failed, or fail it when that has lasted for too long."""
        held_up_seconds = await self._ledger.held_up_seconds(claim.job.job_id)
        if held_up_seconds < longest_held_up_seconds(error, self._config.storage_wait_seconds):
            _log.warning("the job is handed back", error=error.public, detail=error.detail)
            wait_seconds = next_wait_seconds(held_up_seconds)
            await self._hand_back(claim, "unavailable", delay_seconds=wait_seconds, held_up=True)
        else:
            object_name = f"object {claim.job.spec.object_key} of bucket {claim.job.bucket}"
            await self._fail(claim, error, message=given_up_message(error, held_up_seconds, object_name))

    async def _run(self, claim: Claim) -> None:
        job = claim.job
        if job.attempt > 1:
            await self._take_over(job)
        if job.attempt > self._config.max_attempts:
            failure: SmartCoverError = EngineCrashed(
                f"the job was started {self._config.max_attempts} times and never came to an end"
            )
            await self._fail(claim, failure)
            return
        if job.spec.fault is not None:
            await self._fail(claim, BadParameter(job.spec.fault))
            return
        staged: list[StagedObject] = []
        bytes_read = 0

        def note_bytes_read(total: int) -> None:
            nonlocal bytes_read
            bytes_read = total

        try:
            await self._store.bucket(job.spec.output.bucket)
            source = await find_input(job.spec.object_key, partial(self._store.video, job.bucket))
            _log.info("job started", object=job.spec.object_key)
            picked = await self._engine.pick(source, _options(job, self._config), on_bytes_read=note_bytes_read)
            bytes_read = picked.bytes_read
            picked_at = time.monotonic()
            for number, cover in enumerate(picked.covers):
                staged.append(await self._stage(job, number, cover))
            _log.info("covers written", covers=len(staged))
            await self._succeed(claim, picked, staged)
            self._metrics.stepped({**picked.timings, "publish": time.monotonic() - picked_at})
        except SmartCoverError as error:
            await self._discard(staged)
            if error.retryable or isinstance(error, LedgerError | EngineKilled):
                raise
            await self._fail(claim, error, bytes_read=bytes_read)
        except BaseException:
            await self._discard(staged)
            raise
        else:
            await self._discard(staged)
        finally:
            self._metrics.read(bytes_read)

    async def _stage(self, job: Job, number: int, cover: PickedCover) -> StagedObject:
        key = expand_name(
            job.spec.output.object_pattern,
            number=number,
            ext=cover.format,
            job_id=job.job_id,
            run_id=job.spec.workflow.run_id if job.spec.workflow else None,
            input_key=job.spec.object_key,
            batch_id=job.spec.batch_id,
        )
        headers = {"content-type": _CONTENT_TYPES[cover.format]}
        return await self._store.stage(job.spec.output.bucket, key, cover.image, headers=headers, owner=job.job_id)

    async def _take_over(self, job: Job) -> None:
        """Take back what earlier starts of the job staged: one that froze must not show it when it thaws."""
        try:
            await self._store.revoke(job.spec.output.bucket, job.job_id)
        except SmartCoverError as error:
            if job.attempt <= self._config.max_attempts:
                raise
            _log.warning("covers of an earlier start are left to the store's sweep", error=error.public)

    async def _succeed(self, claim: Claim, picked: PickedCovers, staged: Sequence[StagedObject]) -> None:
        # Before anybody can tell us of them: an object of ours starts no workflow.
        await self._ledger.workflows.note_outputs([(one.bucket, one.key, one.etag) for one in staged])
        # After all is staged and before any of it is placed: whoever takes the job over after this look finds, and
        # takes back, all that we could still place.
        if claim.lease_token not in await self._ledger.renew(
            [claim.lease_token], lease_seconds=self._config.lease_seconds
        ):
            raise LeaseLost
        placed = await self._store.place(staged)
        async with self._ledger.finishing(claim) as finishing:
            await self._store.publish(placed)
            result = JobResult(
                covers=tuple(_report(s, c) for s, c in zip(staged, picked.covers, strict=True)),
                fallback=picked.fallback,
                duration_seconds=picked.duration_seconds,
                timings=picked.timings,
            )
            final = replace(finishing.job, state=JobState.SUCCESS, ended_at=finishing.ended_at, result=result)
            await finishing.succeed(result, self._deliveries_of(final))
            self._ended.add(claim.lease_token)  # before the commit: whoever hears of it first must not stop us
        self._metrics.finished(final)
        _log.info(
            "job succeeded",
            covers=len(staged),
            fallback=picked.fallback,
            unseen=picked.unseen,
            bytes_read=picked.bytes_read,
        )

    async def _fail(
        self, claim: Claim, error: SmartCoverError, *, message: str | None = None, bytes_read: int = 0
    ) -> None:
        message = message or _failure_message(claim.job, error)
        async with self._ledger.finishing(claim) as finishing:
            final = replace(
                finishing.job,
                state=JobState.FAILED,
                ended_at=finishing.ended_at,
                code=error.code,
                message=message,
            )
            await finishing.fail(error.code, message, self._deliveries_of(final))
            self._ended.add(claim.lease_token)
        self._metrics.finished(final)
        # A fault of ours is to be found whatever the level of the log: the message says that it is there.
        tell = _log.error if isinstance(error, EngineCrashed) else _log.info
        tell("job failed", code=error.code, message=message, detail=error.detail, bytes_read=bytes_read)

    async def _discard(self, staged: Sequence[StagedObject]) -> None:
        if staged:
            await asyncio.shield(self._try_to_discard(staged))

    async def _try_to_discard(self, staged: Sequence[StagedObject]) -> None:
        """Discard, and hear of a failure also when the job was stopped meanwhile and nobody waits any more."""
        try:
            await self._store.discard(staged)
        except SmartCoverError as error:
            _log.warning("staged covers are left to the store's sweep", error=error.public)

    async def _hand_back(
        self,
        claim: Claim,
        reason: HandedBack,
        *,
        delay_seconds: float = 0.0,
        counted: bool = False,
        held_up: bool = False,
    ) -> None:
        with structlog.contextvars.bound_contextvars(**_names(claim.job)):
            try:
                returned = await self._ledger.hand_back(
                    claim, delay_seconds=delay_seconds, counted=counted, held_up=held_up
                )
            except LedgerError as error:
                _log.warning("the job waits for its lease to run out", error=error.public)
                return
            if returned:
                self._metrics.handed_back(reason)
                _log.info("job handed back", reason=reason)

    async def _renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._config.lease_seconds / 3)
            held = list(self._running)
            if not held:
                continue
            try:
                kept = await self._ledger.renew(held, lease_seconds=self._config.lease_seconds)
            except LedgerError as error:
                _log.warning("cannot renew leases", error=error.public, detail=error.detail)
                continue
            for lost in set(held) - kept - self._ended:
                if entry := self._running.get(lost):
                    self._metrics.lost()
                    entry[1].cancel()

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                if swept := await self._ledger.sweep():
                    self._metrics.swept(swept)
                    _log.warning("took back jobs of workers that went silent", jobs=swept)
            except LedgerError as error:
                _log.warning("cannot sweep", error=error.public, detail=error.detail)
            await asyncio.sleep(self._config.lease_seconds / 2)

    async def _heed_cancels(self, wakeups: Wakeups) -> None:
        while True:
            job_id = await wakeups.cancelled.get()
            for claim, task in list(self._running.values()):
                if claim.job.job_id == job_id:
                    self._metrics.lost()
                    task.cancel()

    async def _finish_running(self) -> None:
        tasks = [task for _, task in self._running.values()]
        if tasks:
            _log.info("waiting for running jobs", jobs=len(tasks), seconds=self._config.grace_seconds)
            await asyncio.wait(tasks, timeout=self._config.grace_seconds)
        await self._let_go()

    async def _let_go(self) -> None:
        """Stop what still runs, all at once, and hand it back: its lease ends now and not when it runs out."""
        held = list(self._running.values())
        for _, task in held:
            task.cancel()
        await asyncio.gather(*(task for _, task in held), return_exceptions=True)
        for claim, _ in held:
            await self._hand_back(claim, "stopping")


def _options(job: Job, config: WorkerConfig) -> CoverOptions:
    covers = job.spec.covers
    return CoverOptions(
        count=covers.count,
        format=covers.format,  # type: ignore[arg-type] # checked when the job was submitted
        width_px=covers.width_px,
        height_px=covers.height_px,
        delete_duplicates=covers.delete_duplicates,
        safety=config.safety,
        scorer=config.scorer,
        gpu=config.gpu,
    )


def _names(job: Job) -> dict[str, Any]:
    """Name the job, and the run or batch that made it, for the log."""
    names: dict[str, Any] = {"job_id": job.job_id, "attempt": job.attempt, "bucket": job.bucket}
    if job.spec.workflow is not None:
        names["run_id"] = job.spec.workflow.run_id
    if job.spec.batch_id is not None:
        names["batch_id"] = job.spec.batch_id
    return names


def _report(staged: StagedObject, cover: PickedCover) -> CoverReport:
    return CoverReport(
        key=staged.key,
        md5=staged.etag,
        size_bytes=staged.size_bytes,
        width_px=cover.width_px,
        height_px=cover.height_px,
        seconds=cover.seconds,
        score=cover.score,
        reasons=cover.reasons,
        signals=cover.signals,
    )


def _failure_message(job: Job, error: SmartCoverError) -> str:
    """Say what a person can act on; object keys and buckets are the client's own words."""
    if isinstance(error, ObjectMissing):
        return f"object {job.spec.object_key} does not exist in bucket {job.bucket}; upload it and submit again"
    if isinstance(error, BucketMissing):
        return f"output bucket {job.spec.output.bucket} does not exist; make it and submit again"
    return error.public
