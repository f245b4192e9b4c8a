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
from smartcover.ledger.queues import require_room

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
    mark = submission.token if submission.token is not None else submission.digest.hex()
    await QUERIES.lock_submission(connection, mark=f"{bucket} {submission.secret_id} {mark}")


async def remember(connection: Any, bucket: str, submission: Submission, job_ids: Sequence[str]) -> None:
    """Note what a submit made, inside its transaction, and forget some that nobody can repeat any more."""
    await QUERIES.add_submission(
        connection,
        bucket=bucket,
        secret_id=submission.secret_id,
        token=submission.token,
        digest=submission.digest,
        job_ids=list(job_ids),
    )
    await QUERIES.forget_submissions(
        connection, retry_seconds=submission.retry_seconds, token_seconds=submission.token_seconds
    )


async def add_jobs(connection: Any, jobs: Sequence[NewJob]) -> tuple[Job, ...]:
    """
    Add jobs inside a transaction; whoever calls announces them.

    Raises:
        QueueFull: If a queue has no room for its share.
    """
    for queue_id in dict.fromkeys(job.queue_id for job in jobs):
        await require_room(connection, queue_id, sum(job.queue_id == queue_id for job in jobs))
    stored = []
    for job in jobs:
        origin = job.spec.workflow
        stored.append(
            await QUERIES.add_job(
                connection,
                job_id=job.job_id,
                bucket=job.bucket,
                region=job.region,
                queue_id=job.queue_id,
                tag=job.tag,
                level=job.spec.level,
                spec=rows.spec_json(job.spec),
                callback=rows.target_json(job.callback),
                workflow_id=None if origin is None else origin.workflow_id,
                run_id=None if origin is None else origin.run_id,
                batch_id=job.spec.batch_id,
            )
        )
    return tuple(rows.job(row) for row in stored)
