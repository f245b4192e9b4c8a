"""
For those who get callbacks: `receive` verifies and reads one, `once` leaves out repetitions, adapters fit frameworks.

`parse` alone turns a body into a typed value or raises MalformedCallback. Nothing heavier than pydantic and lxml is
needed; a bare `pip install smartcover` brings it. `smartcover.receiver.testing` makes sample callbacks.
"""

from __future__ import annotations

from smartcover.errors import BadSignature, MalformedCallback, ReceiverError, StaleCallback
from smartcover.receiver.dedupe import MemorySeen, Seen, once
from smartcover.receiver.models import TaskFinish, WorkflowFinish, WorkflowTask
from smartcover.receiver.parse import parse
from smartcover.receiver.receive import Received, receive, status_of
from smartcover.receiver.verify import sign, verify

__all__ = [
    "BadSignature",
    "MalformedCallback",
    "MemorySeen",
    "Received",
    "ReceiverError",
    "Seen",
    "StaleCallback",
    "TaskFinish",
    "WorkflowFinish",
    "WorkflowTask",
    "once",
    "parse",
    "receive",
    "sign",
    "status_of",
    "verify",
]
