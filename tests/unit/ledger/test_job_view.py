"""What of a job the outside sees, state by state."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from smartcover.ledger import (
    CoverReport,
    CoverSpec,
    Job,
    JobResult,
    JobSpec,
    JobState,
    OutputSpec,
    WorkflowOrigin,
    jobs_detail,
)

CREATED = datetime(2026, 1, 5, 10, 0, 0, tzinfo=UTC)
SENT = {"Width": "640", "Count": "2", "Format": "png"}
JOB = Job(
    job_id="j" + "1" * 32,
    seq=1,
    bucket="test-1",
    region="ap-x",
    queue_id="p" + "0" * 32,
    tag="SmartCover",
    state=JobState.SUBMITTED,
    spec=JobSpec("in.mp4", OutputSpec("ap-y", "out-1", "o/${number}.png"), CoverSpec(count=2), smart_cover=SENT),
    callback=None,
    attempt=0,
    created_at=CREATED,
)
COVERS = tuple(CoverReport(f"o/{n}.png", f"{n:032x}", 10, 640, 360, 1.0, 0.5) for n in range(2))


def test_a_waiting_job_shows_what_was_sent_in_the_order_sent() -> None:
    detail = jobs_detail(JOB)
    assert (detail.state, detail.code, detail.message) == ("Submitted", "Success", "")
    assert (detail.start_time, detail.end_time) == (None, None)
    assert detail.operation.smart_cover is not None
    assert detail.operation.smart_cover.sent == tuple(SENT.items())
    assert (detail.input.bucket_id, detail.input.object, detail.input.region) == ("test-1", "in.mp4", "ap-x")
    assert detail.operation.output.object == "o/${number}.png"


def test_a_successful_job_names_its_covers_in_order() -> None:
    detail = jobs_detail(replace(JOB, state=JobState.SUCCESS, result=JobResult(COVERS)))
    assert detail.operation.object_names == ("o/0.png", "o/1.png")
    assert [entry.md5 for entry in detail.operation.md5s] == [cover.md5 for cover in COVERS]
    assert (detail.operation.output_bucket, detail.operation.output_region) == ("out-1", "ap-y")


def test_a_failed_job_tells_why_and_names_no_cover() -> None:
    failed = replace(JOB, state=JobState.FAILED, code="NoVideoStream", message="no video", result=JobResult(COVERS))
    detail = jobs_detail(failed)
    assert (detail.code, detail.message, detail.operation.object_names) == ("NoVideoStream", "no video", ())


@pytest.mark.parametrize("state", [JobState.SUBMITTED, JobState.RUNNING, JobState.CANCEL])
def test_a_job_without_a_result_has_no_code_of_a_failure(state: JobState) -> None:
    assert jobs_detail(replace(JOB, state=state, code="ProcessFailed", message="x")).code == "Success"


@pytest.mark.parametrize(("sent", "shown"), [(True, 2), (False, None)])
def test_the_level_is_echoed_only_if_it_was_sent(sent: bool, shown: int | None) -> None:
    spec = replace(JOB.spec, level=2, level_sent=sent)
    assert jobs_detail(replace(JOB, spec=spec)).operation.job_level == shown


def test_a_template_is_echoed_instead_of_the_options_that_it_overrides() -> None:
    spec = replace(JOB.spec, template_id="t" + "2" * 32, template_name="cards")
    operation = jobs_detail(replace(JOB, spec=spec)).operation
    assert (operation.template_name, operation.smart_cover) == ("cards", None)


def test_a_workflows_job_names_its_run_and_the_upload_that_started_it() -> None:
    origin = WorkflowOrigin("i1", "w1", "flow", "SmartCover_1")
    detail = jobs_detail(replace(JOB, spec=replace(JOB.spec, workflow=origin, cos_headers=(("Size", "5"),))))
    assert detail.workflow is not None
    assert (detail.workflow.name, detail.workflow.run_id) == ("SmartCover_1", "i1")
    assert [(header.key, header.value) for header in detail.input.cos_headers] == [("Size", "5")]
