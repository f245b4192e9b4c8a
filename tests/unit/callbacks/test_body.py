"""The callback that a finished job owes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from lxml import etree

from smartcover.callbacks import destination_of, task_finish_delivery
from smartcover.ledger import (
    CallbackTarget,
    CoverReport,
    CoverSpec,
    Job,
    JobResult,
    JobSpec,
    JobState,
    NewDelivery,
    OutputSpec,
)

START = datetime(2022, 6, 30, 7, 29, 42, tzinfo=UTC)
XML = CallbackTarget(url="http://Hooks.Example/cb?x=1", format="XML")

JOB = Job(
    job_id="j6842765cf84611ecb8546d80f2baf56f",
    seq=1,
    bucket="test-1250000000",
    region="ap-chongqing",
    queue_id="p2242ab62c7c94486915508540933a2c6",
    tag="SmartCover",
    state=JobState.SUCCESS,
    spec=JobSpec(
        object_key="input/demo.mp4",
        output=OutputSpec("ap-chongqing", "test-1250000000", "output/smartcover-${Number}.jpg"),
        covers=CoverSpec(count=1),
        smart_cover={"Format": "jpg", "Count": "1"},
        user_data="mine",
    ),
    callback=XML,
    attempt=1,
    created_at=START,
    started_at=START + timedelta(seconds=1),
    ended_at=START + timedelta(seconds=6),
    result=JobResult((CoverReport("output/smartcover-0.jpg", "0" * 32, 10, 128, 128, 1.0, 0.5),)),
)


def owed(job: Job, **changes: Any) -> NewDelivery:
    given = {"delivery_id": "d1", "zone_offset_minutes": 480, "json_array": False, "md5_info": False, **changes}
    delivery = task_finish_delivery(job, **given)
    assert delivery is not None
    return delivery


def test_a_successful_job_owes_its_covers_by_xml() -> None:
    delivery = owed(JOB)
    assert (delivery.delivery_id, delivery.target, delivery.content_type) == ("d1", XML, "application/xml")
    detail = etree.fromstring(delivery.body).find("JobsDetail")
    assert detail is not None
    assert detail.findtext("CreationTime") == "2022-06-30T15:29:42+0800"
    assert detail.findtext("EndTime") == "2022-06-30T15:29:48+0800"
    assert detail.findtext("Operation/MediaResult/OutputFile/ObjectName") == "output/smartcover-0.jpg"
    assert detail.findtext("Operation/MediaResult/OutputFile/Md5Info/Md5") is None


def test_the_settings_of_the_body_reach_it() -> None:
    job = replace(JOB, callback=replace(XML, format="JSON"))
    delivery = owed(job, json_array=True, md5_info=True, zone_offset_minutes=-210)
    assert delivery.content_type == "application/json"
    (detail,) = json.loads(delivery.body)["JobsDetail"]
    assert detail["CreationTime"] == "2022-06-30T03:59:42-0330"
    assert "0" * 32 in json.dumps(detail["Operation"]["MediaResult"]["OutputFile"]["Md5Info"])


def test_a_failed_job_owes_its_code_and_message_and_no_result() -> None:
    failed = replace(JOB, state=JobState.FAILED, code="NoVideoStream", message="The file holds no video.", result=None)
    detail = etree.fromstring(owed(failed).body).find("JobsDetail")
    assert detail is not None
    assert (detail.findtext("State"), detail.findtext("Code")) == ("Failed", "NoVideoStream")
    assert detail.findtext("Message") == "The file holds no video."
    assert detail.find("Operation/MediaResult") is None


@pytest.mark.parametrize("job", [replace(JOB, state=JobState.CANCEL), replace(JOB, callback=None)])
def test_a_cancelled_job_and_one_without_callback_owe_nothing(job: Job) -> None:
    given = {"delivery_id": "d1", "zone_offset_minutes": 480, "json_array": False, "md5_info": False}
    assert task_finish_delivery(job, **given) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("state", [JobState.SUBMITTED, JobState.RUNNING])
def test_an_unfinished_job_cannot_be_asked(state: JobState) -> None:
    with pytest.raises(ValueError, match="at the end only"):
        owed(replace(JOB, state=state))


@pytest.mark.parametrize(
    ("url", "destination"),
    [
        ("http://Hooks.Example/cb", "http://hooks.example:80"),
        ("HTTPS://Hooks.Example/cb?x", "https://hooks.example:443"),
        ("https://hooks.example.:8443/", "https://hooks.example:8443"),
        ("http://[2606:4700:0:0::1111]/", "http://[2606:4700::1111]:80"),
        ("http://127.1/", "unreadable"),
        ("nonsense", "unreadable"),
        ("", "unreadable"),
        (None, "unreadable"),
    ],
)
def test_urls_of_one_receiver_share_a_destination(url: str | None, destination: str) -> None:
    assert destination_of(CallbackTarget(url=url)) == destination


def test_a_message_queue_is_a_destination_of_its_own() -> None:
    target = CallbackTarget(kind="TDMQ", mq_mode="Topic", mq_name="covers", mq_region="ap-x")
    assert destination_of(target) == "TDMQ:ap-x:Topic:covers"
    assert owed(replace(JOB, callback=target)).destination == "TDMQ:ap-x:Topic:covers"


def test_a_url_that_cannot_be_called_never_stops_a_job_from_ending() -> None:
    assert owed(replace(JOB, callback=CallbackTarget(url="http://a b/"))).destination == "unreadable"
