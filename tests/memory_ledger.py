"""A ledger in memory for tests of use cases: nothing ever runs its jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from smartcover.errors import AlreadyFinished, UnknownJob, UnknownQueue, UnknownTemplate
from smartcover.ledger import Job, JobState, NewJob, NotifyConfig, Queue, Submission, Template

QUEUE_ID = "p" + "0" * 32


@dataclass
class MemoryTemplates:
    """Templates in a dict."""

    stored: dict[str, Template] = field(default_factory=dict)

    async def get(self, bucket: str, template_id: str) -> Template:
        template = self.stored.get(template_id)
        if template is None or template.bucket != bucket:
            raise UnknownTemplate
        return template


@dataclass
class MemoryBindings:
    """Unbound buckets in a set."""

    away: set[str] = field(default_factory=set)

    async def bind(self, bucket: str) -> None:
        self.away.discard(bucket)

    async def is_bound(self, bucket: str) -> bool:
        return bucket not in self.away


@dataclass
class MemoryLedger:
    """Jobs in a dict, with the promises of the ledger that the edge relies on; nothing ever runs them."""

    stored: dict[str, Job] = field(default_factory=dict)
    queues: dict[str, Queue] = field(default_factory=dict)
    templates: MemoryTemplates = field(default_factory=MemoryTemplates)
    bindings: MemoryBindings = field(default_factory=MemoryBindings)
    submissions: list[tuple[Submission, list[str]]] = field(default_factory=list)

    async def submitted_before(self, bucket: str, submission: Submission) -> tuple[Job, ...] | None:
        for earlier, job_ids in self.submissions:
            same = earlier.token == submission.token if submission.token else earlier.digest == submission.digest
            if same and earlier.secret_id == submission.secret_id:
                return tuple(self.stored[job_id] for job_id in job_ids)
        return None

    async def submit(self, jobs: Sequence[NewJob], submission: Submission | None = None) -> tuple[Job, ...]:
        rows = tuple(
            Job(
                job_id=new.job_id,
                seq=len(self.stored) + number,
                bucket=new.bucket,
                region=new.region,
                queue_id=new.queue_id,
                tag=new.tag,
                state=JobState.SUBMITTED,
                spec=new.spec,
                callback=new.callback,
                attempt=0,
                created_at=datetime.now(UTC),
            )
            for number, new in enumerate(jobs)
        )
        self.stored |= {job.job_id: job for job in rows}
        if submission is not None:
            self.submissions.append((submission, [job.job_id for job in rows]))
        return rows

    async def jobs(self, bucket: str, job_ids: Sequence[str]) -> Mapping[str, Job]:
        found = (self.stored.get(job_id) for job_id in job_ids)
        return {job.job_id: job for job in found if job is not None and job.bucket == bucket}

    async def cancel(self, bucket: str, job_id: str) -> Job:
        job = (await self.jobs(bucket, [job_id])).get(job_id)
        if job is None:
            raise UnknownJob
        if job.state.final:
            raise AlreadyFinished
        self.stored[job_id] = replace(job, state=JobState.CANCEL, ended_at=datetime.now(UTC))
        return self.stored[job_id]

    async def default_queue(self, bucket: str) -> Queue:
        now = datetime.now(UTC)
        return self.queues.setdefault(
            bucket, Queue(QUEUE_ID, bucket, "queue-1", "Active", 10, 10000, NotifyConfig(), now, now)
        )

    async def queue(self, bucket: str, queue_id: str) -> Queue:
        queue = self.queues.get(bucket)
        if queue is None or queue.queue_id != queue_id:
            raise UnknownQueue
        return queue
