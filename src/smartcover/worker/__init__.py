"""The work loop: claims jobs, runs the engine in a child process with limits, publishes and finishes."""

from __future__ import annotations

from smartcover.worker.isolate import EngineLimits, EngineRunner
from smartcover.worker.loop import Worker, WorkerConfig

__all__ = ["EngineLimits", "EngineRunner", "Worker", "WorkerConfig"]
