"""Queues, templates and bindings on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import asyncpg
import pytest

from smartcover.errors import BadParameter, QueueFull, UnknownQueue, UnknownTemplate
from smartcover.ledger import (
    CallbackTarget,
    CoverSpec,
    JobSpec,
    JobState,
    Ledger,
    NewJob,
    NotifyConfig,
    OutputSpec,
    QueueLimits,
    QueueState,
)
from tests.postgres import cluster

BUCKET = "queues-1250000000"
NUMBERS = itertools.count(1)
FULL = NotifyConfig(
    on=True,
    url="http://receiver.example/cb?a=1&b=视频",
    kind="Url",
    events=("TaskFinish", "WorkflowFinish"),
    format="JSON",
    mq_mode="Topic",
    mq_region="sh",
    mq_name="covers",
    kafka=(("Region", "ap-x"), ("Topic", "t")),
)


@pytest.fixture(scope="module")
def dsn() -> str:
    return cluster().make_database()


@pytest.fixture
async def ledger(dsn: str) -> AsyncIterator[Ledger]:
    connection = await asyncpg.connect(dsn)
    await connection.execute("TRUNCATE jobs, queues, templates, unbound_buckets CASCADE")
    await connection.close()
    opened = await Ledger.connect(dsn, pool_size=12, queue_limits=QueueLimits(max_concurrent=3, max_size=20))
    yield opened
    await opened.close()


def new_job(queue_id: str) -> NewJob:
    spec = JobSpec(object_key="a", output=OutputSpec("r", BUCKET, "o"), covers=CoverSpec())
    return NewJob(f"j{next(NUMBERS):032x}", BUCKET, "r", queue_id, spec, None)


async def test_new_queues_get_the_limits_of_the_settings_or_their_own(ledger: Ledger) -> None:
    default = await ledger.default_queue(BUCKET)
    assert (default.max_concurrent, default.max_size, default.state) == (3, 20, "Active")
    own = await ledger.queues.add(BUCKET, "night", QueueLimits(1, 5))
    assert (own.name, own.max_concurrent, own.max_size) == ("night", 1, 5)
    assert own.notify == NotifyConfig()
    changed = await ledger.queues.set_limits(BUCKET, own.queue_id, QueueLimits(2, 6))
    assert (changed.max_concurrent, changed.max_size) == (2, 6)
    assert (await ledger.default_queue(BUCKET)).queue_id == default.queue_id


async def test_what_is_set_of_a_queue_is_read_back_whole_and_replaced_whole(ledger: Ledger) -> None:
    queue = await ledger.default_queue(BUCKET)
    changed = await ledger.queues.change(
        BUCKET, queue.queue_id, name="夜间", state=QueueState.PAUSED, notify_config=FULL
    )
    assert (changed.name, changed.state, changed.notify) == ("夜间", "Paused", FULL)
    assert changed.updated_at > queue.updated_at
    assert changed.created_at == queue.created_at
    assert await ledger.queue(BUCKET, queue.queue_id) == changed
    again = await ledger.queues.change(
        BUCKET, queue.queue_id, name="n", state=QueueState.ACTIVE, notify_config=NotifyConfig()
    )
    assert (again.name, again.state, again.notify) == ("n", "Active", NotifyConfig())


async def test_a_queue_belongs_to_its_bucket(ledger: Ledger) -> None:
    queue = await ledger.default_queue(BUCKET)
    elsewhere = "elsewhere-1"
    with pytest.raises(UnknownQueue):
        await ledger.queue(elsewhere, queue.queue_id)
    with pytest.raises(UnknownQueue):
        await ledger.queues.change(
            elsewhere, queue.queue_id, name="n", state=QueueState.PAUSED, notify_config=NotifyConfig()
        )
    with pytest.raises(UnknownQueue):
        await ledger.queues.set_limits(elsewhere, queue.queue_id, QueueLimits())
    assert (await ledger.queues.page(elsewhere)).queues == ()


async def test_queues_are_listed_in_pages_by_id_and_state(ledger: Ledger) -> None:
    queues = [await ledger.default_queue(BUCKET)] + [await ledger.queues.add(BUCKET, str(n)) for n in range(4)]
    ids = [queue.queue_id for queue in queues]
    pages = [await ledger.queues.page(BUCKET, skip=skip, limit=2) for skip in (0, 2, 4, 6)]
    assert [queue.queue_id for page in pages for queue in page.queues] == ids
    assert {page.total for page in pages} == {5}
    await ledger.queues.change(BUCKET, ids[1], name="1", state=QueueState.PAUSED, notify_config=NotifyConfig())
    paused = await ledger.queues.page(BUCKET, state=QueueState.PAUSED)
    assert ([queue.queue_id for queue in paused.queues], paused.total) == ([ids[1]], 1)
    some = await ledger.queues.page(BUCKET, queue_ids=[ids[3], "p1", ids[0]])
    assert [queue.queue_id for queue in some.queues] == [ids[0], ids[3]]


@pytest.mark.parametrize(
    ("config", "event", "target"),
    [
        (NotifyConfig(), "TaskFinish", None),
        (FULL, "TaskFinish", CallbackTarget(url=FULL.url, format="JSON")),
        (FULL, "Other", None),
        (
            NotifyConfig(on=True, url="http://h/", kind="Url", events=("TransCodingFinish",)),
            "TaskFinish",
            CallbackTarget(url="http://h/"),
        ),
        (NotifyConfig(on=False, url="http://h/", kind="Url", events=("TaskFinish",)), "TaskFinish", None),
        (NotifyConfig(on=True, url="http://h/", kind="Url", events=("WorkflowFinish",)), "TaskFinish", None),
        (
            NotifyConfig(on=True, kind="TDMQ", events=("TaskFinish",), mq_region="sh", mq_name="q"),
            "TaskFinish",
            CallbackTarget(kind="TDMQ", mq_mode="Queue", mq_name="q", mq_region="sh"),
        ),
    ],
)
def test_a_queue_reports_only_what_it_was_asked_to(
    config: NotifyConfig, event: str, target: CallbackTarget | None
) -> None:
    assert config.target(event) == target


async def test_a_queue_takes_no_more_waiting_jobs_than_its_size_however_many_submit_at_once(ledger: Ledger) -> None:
    queue = await ledger.default_queue(BUCKET)

    async def submit(count: int) -> int:
        try:
            return len(await ledger.submit([new_job(queue.queue_id) for _ in range(count)]))
        except QueueFull:
            return 0

    accepted = await asyncio.gather(*(submit(3) for _ in range(12)))
    assert sum(accepted) == 18
    with pytest.raises(QueueFull, match="room for 2 of its 20 waiting jobs and 3 were submitted"):
        await ledger.submit([new_job(queue.queue_id) for _ in range(3)])
    assert len(await ledger.submit([new_job(queue.queue_id) for _ in range(2)])) == 2
    claims = await ledger.claim_jobs("w", limit=10, lease_seconds=30)
    assert len(claims) == 3
    assert len(await ledger.submit([new_job(queue.queue_id) for _ in range(3)])) == 3, "what runs does not wait"


async def test_a_paused_queue_starts_nothing_and_a_resumed_one_wakes_the_workers(ledger: Ledger) -> None:
    queue = await ledger.default_queue(BUCKET)
    await ledger.submit([new_job(queue.queue_id) for _ in range(2)])
    (running,) = await ledger.claim_jobs("w", limit=1, lease_seconds=30)
    async with ledger.listen() as wakeups:
        await wakeups.wait("jobs", 5.0)
        await ledger.queues.change(
            BUCKET, queue.queue_id, name="q", state=QueueState.PAUSED, notify_config=NotifyConfig()
        )
        await wakeups.wait("jobs", 5.0)
        assert await ledger.claim_jobs("w", limit=5, lease_seconds=30) == []
        assert (await ledger.job(running.job.job_id)).state is JobState.RUNNING
        await ledger.queues.change(
            BUCKET, queue.queue_id, name="q", state=QueueState.ACTIVE, notify_config=NotifyConfig()
        )
        loop = asyncio.get_running_loop()
        began = loop.time()
        await wakeups.wait("jobs", 5.0)
        assert loop.time() - began < 2.0
        assert len(await ledger.claim_jobs("w", limit=5, lease_seconds=30)) == 1


async def saved(ledger: Ledger, number: int, name: str, bucket: str = BUCKET, most: int = 100) -> str:
    template_id = f"t{number:032x}"
    await ledger.templates.add(
        template_id, bucket, tag="SmartCover", name=name, smart_cover={"Count": "1", "Format": "png"}, most=most
    )
    return template_id


async def test_a_template_is_saved_read_replaced_whole_and_forgotten(ledger: Ledger) -> None:
    template_id = await saved(ledger, 1, "cards")
    first = await ledger.templates.get(BUCKET, template_id)
    assert (first.name, dict(first.smart_cover), first.tag) == ("cards", {"Count": "1", "Format": "png"}, "SmartCover")
    second = await ledger.templates.replace(
        BUCKET, template_id, tag="SmartCover", name="模板_1", smart_cover={"Width": "640"}
    )
    assert (second.name, dict(second.smart_cover)) == ("模板_1", {"Width": "640"})
    assert second.created_at == first.created_at
    assert second.updated_at > first.updated_at
    assert await ledger.templates.get(BUCKET, template_id) == second
    await ledger.templates.delete(BUCKET, template_id)
    for ask in (ledger.templates.get, ledger.templates.delete):
        with pytest.raises(UnknownTemplate):
            await ask(BUCKET, template_id)


async def test_a_template_belongs_to_its_bucket(ledger: Ledger) -> None:
    template_id = await saved(ledger, 1, "cards", bucket="elsewhere-1")
    with pytest.raises(UnknownTemplate):
        await ledger.templates.get(BUCKET, template_id)
    with pytest.raises(UnknownTemplate):
        await ledger.templates.delete(BUCKET, template_id)
    with pytest.raises(UnknownTemplate):
        await ledger.templates.replace(BUCKET, template_id, tag="SmartCover", name="n", smart_cover={})


async def test_templates_are_listed_in_pages_by_id_tag_and_start_of_name(ledger: Ledger) -> None:
    names = ["a_1", "a*2", "axb", "b", "a_3"]
    ids = [await saved(ledger, number, name) for number, name in enumerate(names)]
    await saved(ledger, 99, "a_1", bucket="elsewhere-1")
    pages = [await ledger.templates.page(BUCKET, skip=skip, limit=2) for skip in (0, 2, 4, 6)]
    assert [template.template_id for page in pages for template in page.templates] == ids
    assert {page.total for page in pages} == {5}
    by_name = await ledger.templates.page(BUCKET, name_prefix="a_")
    assert [template.name for template in by_name.templates] == ["a_1", "a_3"], "no character is a wildcard"
    assert (await ledger.templates.page(BUCKET, name_prefix="%")).total == 0
    assert (await ledger.templates.page(BUCKET, tag="Other")).total == 0
    assert (await ledger.templates.page(BUCKET, tag="SmartCover", template_ids=ids[:2])).total == 2


async def test_a_bucket_has_no_more_templates_than_the_limit(ledger: Ledger) -> None:
    for number in range(2):
        await saved(ledger, number, "n", most=2)
    with pytest.raises(BadParameter, match="2 templates, which is the limit"):
        await saved(ledger, 2, "n", most=2)
    await saved(ledger, 3, "n", bucket="elsewhere-1", most=2)


async def test_a_bucket_is_bound_until_it_is_unbound(ledger: Ledger) -> None:
    assert await ledger.bindings.is_bound(BUCKET)
    for _ in range(2):
        await ledger.bindings.unbind(BUCKET)
        assert not await ledger.bindings.is_bound(BUCKET)
    assert await ledger.bindings.unbound() == {BUCKET}
    for _ in range(2):
        await ledger.bindings.bind(BUCKET)
        assert await ledger.bindings.is_bound(BUCKET)
