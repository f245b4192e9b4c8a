"""What a worker counts for Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from smartcover.ledger import Job, JobState
from smartcover.protocol import CODES

#: The steps of the engine's own clock, in order, and the worker's last step. A child may name no others: each would
#: be a time series of its own for ever.
STEPS: Final = ("open", "look", "score", "networks", "closer", "render", "publish")

_WAIT_SECONDS: Final = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)
_RUN_SECONDS: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0)
_STEP_SECONDS: Final = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)

HandedBack = Literal["stopping", "unavailable", "killed"]


class WorkerMetrics:
    """
    Counts jobs by their ends, their times, the engine's steps and what was read.

    Buckets and queues are no labels here: a histogram for each would be hundreds of time series.
    """

    def __init__(self, registry: CollectorRegistry, *, slots: int) -> None:
        self._finished = Counter(
            "smartcover_jobs_finished",
            "Jobs that workers ended, by state and code; clients end others: smartcover_jobs_cancelled_total.",
            ["state", "code"],
            registry=registry,
        )
        self._handed_back = Counter(
            "smartcover_jobs_handed_back",
            "Jobs returned unfinished: the worker was stopping, database or storage were unavailable, or the decoder "
            "was killed from outside.",
            ["reason"],
            registry=registry,
        )
        self._lost = Counter(
            "smartcover_jobs_lost",
            "Jobs whose lease went to another worker, or that were cancelled, while they ran here.",
            registry=registry,
        )
        self._swept = Counter(
            "smartcover_jobs_swept",
            "Jobs of workers that went silent, put back into their queue by this process.",
            registry=registry,
        )
        self._faults = Counter(
            "smartcover_job_faults", "Attempts that met a fault of smartcover itself; report these.", registry=registry
        )
        self._wait = Histogram(
            "smartcover_job_wait_seconds",
            "From the submit to the first start of a job.",
            buckets=_WAIT_SECONDS,
            registry=registry,
        )
        self._run = Histogram(
            "smartcover_job_run_seconds",
            "From the last start of a job to its end.",
            ["state"],
            buckets=_RUN_SECONDS,
            registry=registry,
        )
        self._steps = Histogram(
            "smartcover_engine_step_seconds",
            "Steps of jobs that succeeded; publish includes writing the covers.",
            ["step"],
            buckets=_STEP_SECONDS,
            registry=registry,
        )
        self._bytes = Counter("smartcover_video_read_bytes", "Bytes of videos read from the store.", registry=registry)
        self._slots = Gauge("smartcover_worker_slots", "Videos that this process handles at once.", registry=registry)
        self._busy = Gauge("smartcover_worker_busy_slots", "Videos that it handles now.", registry=registry)
        self._slots.set(slots)
        # Shown as 0 from the start, so that the first one is a change.
        self._finished.labels(JobState.SUCCESS.value, "Success")
        for code in CODES.values():
            if code.for_job:
                self._finished.labels(JobState.FAILED.value, code.code)
        for state in (JobState.SUCCESS, JobState.FAILED):
            self._run.labels(state.value)
        for reason in get_args(HandedBack):
            self._handed_back.labels(reason)
        for step in STEPS:
            self._steps.labels(step)

    def started(self, job: Job) -> None:
        """Count a start; the first one of a job tells how long it waited."""
        self._busy.inc()
        if job.attempt == 1 and job.started_at is not None:
            self._wait.observe(max(0.0, (job.started_at - job.created_at).total_seconds()))

    def stopped(self) -> None:
        """Count a slot that became free, however its job ended."""
        self._busy.dec()

    def finished(self, job: Job) -> None:
        """Count the end of a job; it is given in its final state."""
        self._finished.labels(job.state.value, job.code if job.state is JobState.FAILED else "Success").inc()
        if job.started_at is not None and job.ended_at is not None:
            self._run.labels(job.state.value).observe(max(0.0, (job.ended_at - job.started_at).total_seconds()))

    def stepped(self, seconds: Mapping[str, float]) -> None:
        """Count how long steps took; a name that is none of `STEPS` is passed over."""
        for step in STEPS:
            if step in seconds:
                self._steps.labels(step).observe(max(0.0, seconds[step]))

    def read(self, size_bytes: int) -> None:
        """Count what was read of a video."""
        self._bytes.inc(max(0, size_bytes))

    def handed_back(self, reason: HandedBack) -> None:
        """Count a job that went back unfinished."""
        self._handed_back.labels(reason).inc()

    def lost(self) -> None:
        """Count a job that was taken away while it ran."""
        self._lost.inc()

    def swept(self, jobs: int) -> None:
        """Count jobs taken back from silent workers."""
        self._swept.inc(jobs)

    def fault(self) -> None:
        """Count an attempt that met a fault of ours."""
        self._faults.inc()
