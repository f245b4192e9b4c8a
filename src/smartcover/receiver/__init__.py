"""
For those who get callbacks: `parse` turns a body into a typed value or raises MalformedCallback.

Needs nothing heavier than pydantic and lxml; a bare `pip install smartcover` brings it.
"""

from __future__ import annotations

from smartcover.errors import MalformedCallback
from smartcover.receiver.models import TaskFinish, WorkflowFinish, WorkflowTask
from smartcover.receiver.parse import parse

__all__ = ["MalformedCallback", "TaskFinish", "WorkflowFinish", "WorkflowTask", "parse"]
