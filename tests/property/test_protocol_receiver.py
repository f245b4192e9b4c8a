"""The receiver gives a value or MalformedCallback for any bytes, near or far from a callback."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartcover.errors import MalformedCallback
from smartcover.protocol import (
    CosHeader,
    JobInput,
    JobsDetail,
    Md5Info,
    OperationDetail,
    Output,
    SmartCoverParams,
    WorkflowRef,
    callback_body,
)
from smartcover.receiver import TaskFinish, parse

CASES = sorted((Path(__file__).resolve().parents[1] / "golden" / "data").iterdir())


@given(st.binary(max_size=200), st.none() | st.text(max_size=20))
def test_any_bytes_are_a_callback_or_malformed(body: bytes, content_type: str | None) -> None:
    with pytest.raises(MalformedCallback):
        parse(body, content_type)


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
@given(data=st.data())
def test_a_documented_case_with_changed_bytes_is_a_callback_or_malformed(case: Path, data: st.DataObject) -> None:
    body = bytearray(case.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        start = data.draw(st.integers(0, len(body)))
        length = data.draw(st.sampled_from([0, 1, 2, 10, 200]))
        body[start : start + length] = data.draw(
            st.binary(max_size=3) | st.sampled_from([b'"', b"[", b"]", b"{", b"}", b"null", b"<", b"</", b"&#1;", b"-"])
        )
    try:
        found = parse(bytes(body))
    except MalformedCallback as error:
        assert error.public
    else:
        assert found.event_name in {"TaskFinish", "WorkflowFinish"}


TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=12
)
MOMENTS = st.integers(0, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
DETAILS = st.builds(
    JobsDetail,
    code=TEXT,
    message=st.just("") | TEXT,
    job_id=TEXT,
    state=st.sampled_from(["Success", "Failed"]),
    creation_time=MOMENTS,
    start_time=st.none() | MOMENTS,
    end_time=st.none() | MOMENTS,
    queue_id=TEXT,
    input=st.builds(
        JobInput,
        bucket_id=TEXT,
        object=TEXT,
        region=TEXT,
        cos_headers=st.lists(st.builds(CosHeader, key=TEXT, value=TEXT), max_size=3).map(tuple),
    ),
    operation=st.builds(
        OperationDetail,
        smart_cover=st.none()
        | st.fixed_dictionaries({}, optional={"Count": st.sampled_from(["1", "10"]), "Format": TEXT}).map(
            lambda options: SmartCoverParams(sent=tuple(sorted(options.items())))
        ),
        template_id=st.none(),
        output=st.builds(Output, region=TEXT, bucket=TEXT, object=TEXT),
        user_data=st.none() | TEXT,
        job_level=st.none() | st.integers(0, 2),
        object_names=st.lists(TEXT, max_size=3).map(tuple),
        output_bucket=TEXT,
        output_region=TEXT,
        md5s=st.lists(st.builds(Md5Info, md5=TEXT, object_name=TEXT), max_size=3).map(tuple),
    ),
    workflow=st.none() | st.builds(WorkflowRef, name=TEXT, run_id=TEXT, workflow_id=TEXT, workflow_name=TEXT),
)


@given(DETAILS, st.sampled_from(["XML", "JSON"]), st.booleans())
def test_what_the_server_writes_reads_back_the_same(detail: JobsDetail, format: str, array: bool) -> None:
    body, content_type = callback_body(detail, format, json_jobs_detail_array=array, md5_info=True)  # type: ignore[arg-type]
    found = parse(body, content_type)
    assert isinstance(found, TaskFinish)
    if detail.state == "Failed":
        nothing = {"object_names": (), "output_bucket": None, "output_region": None, "md5s": ()}
        detail = detail.model_copy(update={"operation": detail.operation.model_copy(update=nothing)})
    assert found.jobs_detail == detail
