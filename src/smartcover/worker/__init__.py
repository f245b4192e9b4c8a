"""The loops that work: jobs through the engine in a child process with limits, and uploads into workflow runs."""

from __future__ import annotations

from smartcover.worker.batches import BatchLoop
from smartcover.worker.isolate import EngineLimits, EngineRunner
from smartcover.worker.loop import Worker, WorkerConfig
from smartcover.worker.metrics import WorkerMetrics
from smartcover.worker.triggers import TriggerLoop

__all__ = [
    "BatchLoop",
    "EngineLimits",
    "EngineRunner",
    "TriggerLoop",
    "Worker",
    "WorkerConfig",
    "WorkerMetrics",
]
