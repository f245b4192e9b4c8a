"""
Sample callbacks for the tests of those who receive them, written by the code that writes the real ones.

    sample = testing.task_finish(format="JSON", secret=SECRET)
    client.post("/callback", content=sample.body, headers=sample.headers)
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from smartcover.protocol import (
    FAILED,
    SUCCEEDED,
    CallbackFormat,
    CosHeader,
    JobInput,
    JobsDetail,
    OperationDetail,
    Output,
    RunDetail,
    SmartCoverParams,
    TaskDetail,
    WorkflowRef,
    callback_body,
    workflow_finish_body,
)
from smartcover.receiver.verify import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, key_of, sign

_BUCKET = "examplebucket-1250000000"
_REGION = "ap-chongqing"
_SECONDS = timedelta(seconds=1)
_JOB_ID = f"j{'0' * 31}1"
_RUN_ID = f"i{'0' * 31}1"
_WORKFLOW_ID = f"w{'0' * 31}1"
_NODE = "SmartCover_1581665960537"


@dataclass(frozen=True, slots=True)
class Sample:
    """A callback as it arrives: what to post to the receiver under test."""

    body: bytes
    headers: dict[str, str]


def task_finish(
    *,
    format: CallbackFormat = "XML",
    succeeded: bool = True,
    covers: int = 3,
    object: str = "input/demo.mp4",
    job_id: str = _JOB_ID,
    user_data: str | None = None,
    workflow: bool = False,
    code: str = "InputUnreadable",
    message: str = "the video cannot be read",
    json_array: bool = False,
    secret: str | None = None,
    delivery_id: str | None = None,
    now: datetime | None = None,
) -> Sample:
    """
    Make the callback of a finished job.

    Args:
        succeeded: With False the job failed, with `code` and `message`, and names no covers.
        covers: How many covers it names.
        workflow: Make it a job that a workflow started.
        json_array: Write JobsDetail of JSON as an array of one, as some senders do.
        secret: `whsec_…` to sign with.
        now: When the job ended and the callback is signed; the system's clock when not given.
    """
    moment = (now or datetime.now(UTC)).replace(microsecond=0)
    names = tuple(f"output/smartcover-{number}.jpg" for number in range(covers)) if succeeded else ()
    headers = (CosHeader(key="Content-Type", value="video/mp4"), CosHeader(key="Size", value="1424687"))
    detail = JobsDetail(
        code="Success" if succeeded else code,
        message="" if succeeded else message,
        job_id=job_id,
        state=SUCCEEDED if succeeded else FAILED,
        creation_time=moment - 6 * _SECONDS,
        start_time=moment - 5 * _SECONDS,
        end_time=moment,
        queue_id=f"p{'0' * 31}1",
        input=JobInput(bucket_id=_BUCKET, object=object, region=_REGION, cos_headers=headers if workflow else ()),
        operation=OperationDetail(
            smart_cover=SmartCoverParams(sent=(("Count", str(covers)), ("Format", "jpg"))),
            output=Output(region=_REGION, bucket=_BUCKET, object="output/smartcover-${Number}.jpg"),
            user_data=user_data,
            object_names=names,
        ),
        workflow=WorkflowRef(name=_NODE, run_id=_RUN_ID, workflow_id=_WORKFLOW_ID, workflow_name="workflow-test")
        if workflow
        else None,
    )
    body, content_type = callback_body(detail, format, json_jobs_detail_array=json_array)
    return _sample(body, content_type, secret, delivery_id, moment)


def workflow_finish(
    *,
    format: CallbackFormat = "XML",
    succeeded: bool = True,
    object: str = "input/demo.mp4",
    run_id: str = _RUN_ID,
    secret: str | None = None,
    delivery_id: str | None = None,
    now: datetime | None = None,
) -> Sample:
    """Make the callback of a finished workflow run with one task; the arguments are those of `task_finish`."""
    moment = (now or datetime.now(UTC)).replace(microsecond=0)
    task = TaskDetail(
        type="SmartCover",
        name=_NODE,
        job_id=_JOB_ID,
        state=SUCCEEDED if succeeded else FAILED,
        create_time=moment - 6 * _SECONDS,
        start_time=moment - 5 * _SECONDS,
        end_time=moment,
        code="Success" if succeeded else "InputUnreadable",
        message="" if succeeded else "the video cannot be read",
        object_names=("output/smartcover-0.jpg",) if succeeded else (),
    )
    run = RunDetail(
        run_id=run_id,
        workflow_id=_WORKFLOW_ID,
        workflow_name="workflow-test",
        bucket_id=_BUCKET,
        object=object,
        state=SUCCEEDED if succeeded else FAILED,
        create_time=moment - 7 * _SECONDS,
        cos_headers=(CosHeader(key="Size", value="1424687"),),
        tasks=(task,),
    )
    body, content_type = workflow_finish_body(run, format)
    return _sample(body, content_type, secret, delivery_id, moment)


def _sample(body: bytes, content_type: str, secret: str | None, delivery_id: str | None, moment: datetime) -> Sample:
    delivery_id = delivery_id or str(uuid.uuid4())
    headers = {"content-type": content_type, ID_HEADER: delivery_id}
    if secret is not None:
        seconds = int(moment.timestamp())
        headers[TIMESTAMP_HEADER] = str(seconds)
        headers[SIGNATURE_HEADER] = sign(body, delivery_id, seconds, key_of(secret))
    return Sample(body, headers)
