"""
Adding jobs, and recognising a submit that repeats an earlier one.

A client repeats a submit whose answer it did not get. It is recognised by a token of the client's choice, or, for the
automatic retry of an SDK, by its body. What is remembered is written in the transaction that adds the jobs: there are
no jobs without it and nothing is remembered without jobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiosql

from smartcover.errors import BadParameter
from smartcover.ledger import rows
from smartcover.ledger.model import Job, NewJob
from smartcover.ledger.queues import SCARCE_ROOM, lock_room, refuse

QUERIES: Any = aiosql.from_path(Path(__file__).with_name("submissions.sql"), "asyncpg", mandatory_parameters=False)


@dataclass(frozen=True, slots=True)
class Submission:
    """
    What tells one submit from another.

    Args:
        secret_id: Whose key pair signed it; the marks of others are never looked at.
        digest: SHA-256 of the body.
        token: What the client named the submit, if it did; it holds for `token_seconds`.
        retried: That an SDK says it has sent this body before, at most `retry_seconds` ago.
    """

    secret_id: str
    digest: bytes
    token: str | None = None
    retried: bool = False
    token_seconds: float = 86_400.0
    retry_seconds: float = 60.0

    @property
    def may_repeat(self) -> bool:
        """Whether there is a reason to look for an earlier submit."""
        return self.token is not None or self.retried


async def earlier_jobs(connection: Any, bucket: str, submission: Submission) -> list[str] | None:
    """
    Give the ids of the jobs that an earlier submit of the same mark made, or None when there was none.

    Raises:
        BadParameter: If the token was used for another body.
    """
    mine = {"bucket": bucket, "secret_id": submission.secret_id}
    found = None
    if submission.token is not None:
        found = await QUERIES.submission_by_token(
            connection, **mine, token=submission.token, seconds=submission.token_seconds
        )
        if found is not None and found["digest"] != submission.digest:
            raise BadParameter(
                f"the idempotency key {submission.token!r} was used for another body within the last "
                f"{submission.token_seconds:g} seconds; use a new key for a new submit"
            )
    elif submission.retried:
        found = await QUERIES.submission_by_digest(
            connection, **mine, digest=submission.digest, seconds=submission.retry_seconds
        )
    return None if found is None else list(found["job_ids"])


async def lock_submission(connection: Any, bucket: str, submission: Submission) -> None:
    """Let one submit of a mark at a time through, until the transaction ends."""
    await QUERIES.lock_submission(connection, mark=_mark(bucket, submission))


async def add_at_once(
    connection: Any, jobs: Sequence[NewJob], submission: Submission | None = None
) -> tuple[Job, ...] | None:
    """
    Add jobs of one queue that has room to spare, remember their submit and announce them, all in one statement.

    None, and nothing done, if room is scarce: then `add_jobs` is exact.
    """
    return await _add(connection, jobs, spare=SCARCE_ROOM, submission=submission)


async def add_jobs(connection: Any, jobs: Sequence[NewJob], submission: Submission | None = None) -> tuple[Job, ...]:
    """
    Add jobs inside a transaction, remember their submit and announce them.

    Raises:
        QueueFull: If a queue has no room for its share.
    """
    stored: dict[str, Job] = {}
    for queue_id in dict.fromkeys(job.queue_id for job in jobs):
        share = [job for job in jobs if job.queue_id == queue_id]
        added = await _add(connection, share, spare=SCARCE_ROOM, submission=submission)
        if added is None:
            await lock_room(connection, queue_id)
            added = await _add(connection, share, spare=0, submission=submission)
        if added is None:
            await refuse(connection, queue_id, len(share))
        stored |= {job.job_id: job for job in added}
    return tuple(stored[job.job_id] for job in jobs)


async def _add(
    connection: Any, jobs: Sequence[NewJob], *, spare: int, submission: Submission | None
) -> tuple[Job, ...] | None:
    origins = [job.spec.workflow for job in jobs]
    added = QUERIES.add_jobs(
        connection,
        queue_id=jobs[0].queue_id,
        spare=spare,
        job_ids=[job.job_id for job in jobs],
        buckets=[job.bucket for job in jobs],
        regions=[job.region for job in jobs],
        tags=[job.tag for job in jobs],
        levels=[job.spec.level for job in jobs],
        specs=[rows.spec_json(job.spec) for job in jobs],
        callbacks=[rows.target_json(job.callback) for job in jobs],
        workflow_ids=[None if origin is None else origin.workflow_id for origin in origins],
        run_ids=[None if origin is None else origin.run_id for origin in origins],
        batch_ids=[job.spec.batch_id for job in jobs],
        mark=None if submission is None else _mark(jobs[0].bucket, submission),
        secret_id=None if submission is None else submission.secret_id,
        token=None if submission is None else submission.token,
        digest=None if submission is None else submission.digest,
        retry_seconds=0.0 if submission is None else submission.retry_seconds,
        token_seconds=0.0 if submission is None else submission.token_seconds,
    )
    return tuple([rows.job(row) async for row in added]) or None


def _mark(bucket: str, submission: Submission) -> str:
    mark = submission.token if submission.token is not None else submission.digest.hex()
    return f"{bucket} {submission.secret_id} {mark}"
