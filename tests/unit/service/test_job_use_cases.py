"""What a submit promises: all or none, checked first, complete, with the callback that the job or its queue names."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from smartcover.errors import BadParameter, BucketMissing, NotBound, UnknownJob, UnknownQueue, UnknownTemplate
from smartcover.ledger import CallbackTarget, Job, JobState, Submission, Template
from smartcover.protocol import (
    CallbackRequest,
    JobRequest,
    MessageQueueTarget,
    OperationRequest,
    Output,
    SmartCoverParams,
)
from smartcover.service import cancel, create_bucket, describe, submit
from smartcover.service.jobs import resolve_callback
from smartcover.storage import BucketInfo, MemoryStore
from tests.memory_ledger import QUEUE_ID, MemoryLedger

BUCKET = BucketInfo("test-1", "ap-x", datetime(2026, 1, 1, tzinfo=UTC))
QUEUE_URL = CallbackTarget(url="http://queue.example/cb", format="JSON")


def ids() -> Callable[[str], str]:
    numbers = itertools.count(1)
    return lambda letter: f"{letter}{next(numbers):032x}"


def operation(bucket: str = BUCKET.name, **more: object) -> OperationRequest:
    output = Output(region="ap-x", bucket=bucket, object="o/${number}.jpg")
    return OperationRequest.model_validate({"tag": "SmartCover", "output": output, **more})


def request(*operations: OperationRequest, **more: object) -> JobRequest:
    return JobRequest.model_validate({"object_key": "in.mp4", "operations": operations or (operation(),), **more})


async def submitted(ledger: MemoryLedger, wish: JobRequest) -> tuple[Job, ...]:
    store = MemoryStore()
    await create_bucket(store, ledger, BUCKET.name, BUCKET.region)
    return await submit(
        ledger, store, BUCKET, wish, new_id=ids(), check_callback=lambda url: None, check_output=lambda bucket: None
    )


async def test_a_submit_stores_what_was_asked_in_full() -> None:
    params = SmartCoverParams(sent=(("Format", "png"), ("Count", "5"), ("DeleteDuplicates", "true"), ("Width", "640")))
    wish = request(operation(smart_cover=params, user_data="u", job_level=2, job_level_sent=True))
    (job,) = await submitted(MemoryLedger(), wish)
    assert job.state is JobState.SUBMITTED
    assert (job.bucket, job.region, job.queue_id) == (BUCKET.name, BUCKET.region, QUEUE_ID)
    covers = job.spec.covers
    assert (covers.count, covers.format, covers.width_px, covers.height_px) == (5, "png", 640, None)
    assert covers.delete_duplicates
    assert job.spec.smart_cover == dict(params.sent)
    assert (job.spec.user_data, job.spec.level, job.spec.level_sent) == ("u", 2, True)


async def test_a_submit_without_options_has_the_documented_defaults_and_echoes_nothing() -> None:
    (job,) = await submitted(MemoryLedger(), request())
    assert (job.spec.covers.count, job.spec.covers.format, job.spec.covers.delete_duplicates) == (3, "jpg", False)
    assert job.spec.smart_cover is None


async def test_one_wrong_operation_keeps_all_from_being_stored() -> None:
    ledger = MemoryLedger()
    with pytest.raises(BucketMissing, match="nowhere-1"):
        await submitted(ledger, request(operation(), operation("nowhere-1"), multi=True))
    assert not ledger.stored


TEMPLATE_ID = "t" + "1" * 32


def saved(ledger: MemoryLedger, smart_cover: dict[str, str]) -> str:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    ledger.templates.stored[TEMPLATE_ID] = Template(
        TEMPLATE_ID, BUCKET.name, "SmartCover", "cards", smart_cover, now, now
    )
    return TEMPLATE_ID


async def test_a_template_goes_before_the_options_sent_beside_it_and_is_copied_whole() -> None:
    ledger = MemoryLedger()
    template_id = saved(ledger, {"Format": "webp", "Count": "2", "Width": "640"})
    beside = SmartCoverParams(sent=(("Format", "png"), ("Count", "7"), ("DeleteDuplicates", "true")))
    (job,) = await submitted(ledger, request(operation(template_id=template_id, smart_cover=beside)))
    covers = job.spec.covers
    assert (covers.count, covers.format, covers.width_px, covers.delete_duplicates) == (2, "webp", 640, False)
    assert (job.spec.template_id, job.spec.template_name) == (template_id, "cards")


@pytest.mark.parametrize("template_id", ["t1", "t" + "2" * 32, "\x00"])
async def test_an_unknown_template_is_refused_with_the_way_out(template_id: str) -> None:
    ledger = MemoryLedger()
    with pytest.raises(UnknownTemplate, match=r"Operation\.TemplateId is .*create it, or give the options"):
        await submitted(ledger, request(operation(template_id=template_id)))
    assert not ledger.stored


async def test_a_template_of_several_covers_needs_a_pattern_with_a_number() -> None:
    ledger = MemoryLedger()
    template_id = saved(ledger, {"Count": "2"})
    output = Output(region="ap-x", bucket=BUCKET.name, object="o.jpg")
    with pytest.raises(BadParameter, match="2 covers may result"):
        await submitted(ledger, request(operation(template_id=template_id, output=output)))
    saved(ledger, {"Count": "1"})
    assert await submitted(ledger, request(operation(template_id=template_id, output=output)))


async def test_a_bucket_that_is_not_bound_accepts_no_work() -> None:
    ledger, store = MemoryLedger(), MemoryStore()
    await create_bucket(store, ledger, BUCKET.name, BUCKET.region)
    ledger.bindings.away.add(BUCKET.name)
    with pytest.raises(NotBound, match="POST /mediabucket"):
        await submit(
            ledger,
            store,
            BUCKET,
            request(),
            new_id=ids(),
            check_callback=lambda url: None,
            check_output=lambda bucket: None,
        )
    await create_bucket(store, ledger, BUCKET.name, BUCKET.region)
    assert await submit(
        ledger,
        store,
        BUCKET,
        request(),
        new_id=ids(),
        check_callback=lambda url: None,
        check_output=lambda bucket: None,
    )


async def test_a_repeated_submit_is_answered_as_the_first_time_whatever_has_changed_since() -> None:
    ledger, store = MemoryLedger(), MemoryStore()
    await create_bucket(store, ledger, BUCKET.name, BUCKET.region)
    named = Submission("key", b"digest", token="once")

    async def send() -> tuple[Job, ...]:
        return await submit(
            ledger,
            store,
            BUCKET,
            request(),
            new_id=ids(),
            check_callback=lambda url: None,
            check_output=lambda bucket: None,
            submission=named,
        )

    first = await send()
    ledger.stored[first[0].job_id] = replace(
        first[0], state=JobState.FAILED, code="NoSuchKey", message="gone", ended_at=BUCKET.created_at
    )
    ledger.bindings.away.add(BUCKET.name)
    assert await send() == first
    assert len(ledger.stored) == 1


async def test_an_unknown_queue_is_refused_by_name() -> None:
    with pytest.raises(UnknownQueue, match="'p1'"):
        await submitted(MemoryLedger(), request(queue_id="p1"))


async def test_a_callback_that_may_not_be_called_is_refused_before_anything_is_stored() -> None:
    ledger, store = MemoryLedger(), MemoryStore()
    await create_bucket(store, ledger, BUCKET.name, BUCKET.region)

    def refuse(target: CallbackTarget) -> None:
        raise BadParameter(f"{target.url} is private")

    wish = request(callback=CallbackRequest(url="http://10.0.0.1/"))
    with pytest.raises(BadParameter, match="private"):
        await submit(ledger, store, BUCKET, wish, new_id=ids(), check_callback=refuse, check_output=lambda bucket: None)
    assert not ledger.stored


@pytest.mark.parametrize(
    ("asked", "notify", "target"),
    [
        (CallbackRequest(), None, None),
        (CallbackRequest(), QUEUE_URL, QUEUE_URL),
        (CallbackRequest(suppressed=True), QUEUE_URL, None),
        (CallbackRequest(url="http://j/"), None, CallbackTarget(url="http://j/", format="XML")),
        (CallbackRequest(url="http://j/"), QUEUE_URL, CallbackTarget(url="http://j/", format="JSON")),
        (CallbackRequest(url="http://j/", format="XML"), QUEUE_URL, CallbackTarget(url="http://j/", format="XML")),
        (CallbackRequest(format="XML"), QUEUE_URL, CallbackTarget(url=QUEUE_URL.url, format="XML")),
        (CallbackRequest(type="Url"), CallbackTarget(kind="TDMQ", mq_name="q"), None),
        (CallbackRequest(), CallbackTarget(kind="TDMQ", mq_name="q"), CallbackTarget(kind="TDMQ", mq_name="q")),
        (
            CallbackRequest(type="TDMQ", format="JSON", mq=MessageQueueTarget(region="sh", mode="Topic", name="t")),
            QUEUE_URL,
            CallbackTarget(kind="TDMQ", format="JSON", mq_mode="Topic", mq_name="t", mq_region="sh"),
        ),
    ],
)
def test_what_the_job_says_goes_before_what_its_queue_says(
    asked: CallbackRequest, notify: CallbackTarget | None, target: CallbackTarget | None
) -> None:
    assert resolve_callback(asked, notify) == target


async def test_jobs_are_described_in_the_order_asked_and_once() -> None:
    ledger = MemoryLedger()
    first, second = await submitted(ledger, request(operation(), operation(), multi=True))
    unknown = "j" + "f" * 32
    described = await describe(
        ledger, BUCKET, [second.job_id, unknown, first.job_id, second.job_id, "nonsense", unknown]
    )
    assert [job.job_id for job in described.jobs] == [second.job_id, first.job_id]
    assert described.unknown_ids == (unknown, "nonsense")


async def test_a_job_of_another_bucket_is_unknown() -> None:
    ledger = MemoryLedger()
    (job,) = await submitted(ledger, request())
    elsewhere = BucketInfo("other-1", "ap-x", BUCKET.created_at)
    assert (await describe(ledger, elsewhere, [job.job_id])).unknown_ids == (job.job_id,)
    with pytest.raises(UnknownJob):
        await cancel(ledger, MemoryStore(), elsewhere, job.job_id)


async def test_what_is_no_job_id_is_unknown_and_never_reaches_the_database() -> None:
    with pytest.raises(UnknownJob):
        await cancel(MemoryLedger(), MemoryStore(), BUCKET, "j\x00")
