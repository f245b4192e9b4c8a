"""The callback of a job that never was, made and sent by the way that real ones go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib.metadata import version as package_version
from uuid import uuid4

from smartcover.callbacks import EgressPolicy, HttpConfig, HttpSender, read_secrets, task_finish_delivery
from smartcover.ledger import (
    AttemptReport,
    CallbackTarget,
    CoverReport,
    CoverSpec,
    Delivery,
    DeliveryState,
    Job,
    JobResult,
    JobSpec,
    JobState,
    OutputSpec,
)
from smartcover.settings import Settings


async def send_sample(target: CallbackTarget, settings: Settings) -> tuple[Delivery, AttemptReport]:
    """Send one to a target, as the server would, and give it with what came of it."""
    delivery = _sample_of(target, settings)
    async with _sender(settings) as sender:
        return delivery, await sender.send(delivery)


def _sender(settings: Settings) -> HttpSender:
    secret = settings.callback_secret.get_secret_value() if settings.callback_secret else None
    config = HttpConfig(
        policy=EgressPolicy(allow=settings.callback_allow, ports=settings.callback_ports),
        user_agent=f"smartcover/{package_version('smartcover')}",
        connect_timeout_seconds=settings.callback_connect_timeout_seconds,
        timeout_seconds=settings.callback_timeout_seconds,
        ca_file=settings.callback_ca_file,
        signing_keys=read_secrets(secret),
    )
    return HttpSender(config, now=lambda: datetime.now(UTC))


def _sample_of(target: CallbackTarget, settings: Settings) -> Delivery:
    now = datetime.now(UTC).replace(microsecond=0)
    bucket, pattern = "sample-1250000000", "output/smartcover-${Number}.jpg"
    keys = [pattern.replace("${Number}", str(number)) for number in range(3)]
    job = Job(
        job_id=f"j{uuid4().hex}",
        seq=0,
        bucket=bucket,
        region=settings.region,
        queue_id=f"p{uuid4().hex}",
        tag="SmartCover",
        state=JobState.SUCCESS,
        spec=JobSpec(
            object_key="input/sample.mp4",
            output=OutputSpec(settings.region, bucket, pattern),
            covers=CoverSpec(),
            smart_cover={"Count": "3", "Format": "jpg"},
            user_data="This is a test of the callback URL.",
        ),
        callback=target,
        attempt=1,
        created_at=now - timedelta(seconds=6),
        started_at=now - timedelta(seconds=5),
        ended_at=now,
        result=JobResult(tuple(CoverReport(key, "0" * 32, 1, 1280, 720, 0.0, 1.0) for key in keys)),
    )
    owed = task_finish_delivery(
        job,
        delivery_id=str(uuid4()),
        zone_offset_minutes=settings.time_zone_offset_minutes,
        json_array=settings.callback_json_array,
        md5_info=settings.callback_md5_info,
    )
    assert owed is not None
    return Delivery(
        delivery_id=owed.delivery_id,
        job_id=job.job_id,
        bucket=bucket,
        target=target,
        destination=owed.destination,
        content_type=owed.content_type,
        body=owed.body,
        state=DeliveryState.PENDING,
        tries=1,
        created_at=now,
        next_at=now,
    )
