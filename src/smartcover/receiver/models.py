"""
The two callbacks, typed and frozen.

`JobsDetail` and its parts are the very models that the server writes with. A repeated node is always a tuple and every
time is aware; what a sender left out is None or empty.
"""

from __future__ import annotations

from typing import Literal

from smartcover.protocol import SUCCEEDED, CosHeader, JobsDetail, Message, Moment


class TaskFinish(Message):
    """A job has ended."""

    event_name: Literal["TaskFinish"] = "TaskFinish"
    jobs_detail: JobsDetail

    @property
    def succeeded(self) -> bool:
        """Whether covers were made."""
        return self.jobs_detail.state == SUCCEEDED

    @property
    def object_names(self) -> tuple[str, ...]:
        """The full keys of the covers, best first; none when the job failed."""
        return self.jobs_detail.operation.object_names


class WorkflowTask(Message):
    """
    One task of a workflow run; `name` is its node in the workflow.

    `code` and `message` tell of a failure; `object_names` are the full keys of what the task made, best first.
    """

    type: str = ""
    name: str = ""
    job_id: str = ""
    state: str = ""
    create_time: Moment | None = None
    start_time: Moment | None = None
    end_time: Moment | None = None
    template_id: str | None = None
    template_name: str | None = None
    code: str = SUCCEEDED
    message: str = ""
    object_names: tuple[str, ...] = ()


class WorkflowFinish(Message):
    """A workflow run has ended."""

    event_name: Literal["WorkflowFinish"] = "WorkflowFinish"
    run_id: str
    state: str
    workflow_id: str = ""
    workflow_name: str = ""
    bucket_id: str = ""
    object: str = ""
    create_time: Moment | None = None
    cos_headers: tuple[CosHeader, ...] = ()
    tasks: tuple[WorkflowTask, ...] = ()

    @property
    def succeeded(self) -> bool:
        """Whether every task succeeded."""
        return self.state == SUCCEEDED
