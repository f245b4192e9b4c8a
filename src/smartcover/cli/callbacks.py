"""`smartcover callbacks`: what is owed to whom, why it is not there yet, once more please, and does this URL work."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

from smartcover.app.administer import open_ledger
from smartcover.app.logs import configure_logs
from smartcover.cli.options import DATA, Data, Json, flag
from smartcover.cli.terminal import pretty, printable
from smartcover.errors import SettingsError
from smartcover.ledger import (
    Attempt,
    AttemptReport,
    CallbackTarget,
    Delivery,
    DeliveryFilter,
    DeliveryState,
    Ledger,
)
from smartcover.settings import Settings, read_settings

__all__ = ["callbacks"]

T = TypeVar("T")

callbacks = typer.Typer(no_args_is_help=True, add_completion=False, help="See, repeat and try callbacks.")

_AGO: Final = re.compile(r"(\d{1,6})(s|m|h|d)")
_AGO_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_COLOURS: Final = {
    DeliveryState.PENDING: "yellow",
    DeliveryState.DELIVERED: "green",
    DeliveryState.EXHAUSTED: "red",
    DeliveryState.REFUSED: "red",
}

_State = Annotated[DeliveryState | None, typer.Option(help="Only those in this state.")]
_Job = Annotated[str | None, typer.Option(help="Only those of this job.")]
_Destination = Annotated[str | None, typer.Option(help="Only those to this receiver: http://host:port or a URL.")]
_Since = Annotated[str | None, typer.Option(help="Only those made since then: 2h, 3d, or 2022-06-30T15:00+08:00.")]
_Until = Annotated[str | None, typer.Option(help="Only those made before then.")]


@callbacks.command("list")
def list_(
    data: Data = DATA,
    state: _State = None,
    job: _Job = None,
    destination: _Destination = None,
    since: _Since = None,
    until: _Until = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Most lines.")] = 50,
    as_json: Json = False,
) -> None:
    """List callbacks, newest first: state, tries, next try and the reason."""
    wanted = _filter(state, job, destination, since, until)

    async def work(ledger: Ledger) -> list[Delivery]:
        return await ledger.deliveries(
            job_id=wanted.job_id,
            state=wanted.state,
            destination=wanted.destination,
            since=wanted.since,
            until=wanted.until,
            limit=limit,
        )

    found = _on_ledger(data, work)
    if as_json:
        print(json.dumps({"deliveries": [_delivery_json(delivery) for delivery in found]}, ensure_ascii=False))
        return
    console = _console()
    for delivery in found:
        tries = f"{delivery.tries} {'try' if delivery.tries == 1 else 'tries'}"
        following = "" if delivery.next_at is None else f"  next {_moment(delivery.next_at)}"
        console.print(
            f"{delivery.delivery_id}  [{_COLOURS[delivery.state]}]{delivery.state.value:<9}[/]  {tries:<8}"
            f"  made {_moment(delivery.created_at)}{following}",
            soft_wrap=True,
        )
        reason = f"  {escape(printable(delivery.reason))}" if delivery.reason else ""
        console.print(f"    {escape(printable(delivery.destination))}{reason}", soft_wrap=True)
    if not found:
        console.print("no such callbacks")


@callbacks.command()
def show(
    delivery_id: Annotated[str, typer.Argument(help="The delivery's id, as `webhook-id` and `list` show it.")],
    data: Data = DATA,
    body: Annotated[bool, flag("--body", "Also print the body, indented.")] = False,
    as_json: Json = False,
) -> None:
    """Show one callback and every try of it."""

    async def work(ledger: Ledger) -> tuple[Delivery, list[Attempt]]:
        return await ledger.delivery(delivery_id), await ledger.attempts(delivery_id)

    delivery, attempts = _on_ledger(data, work)
    if as_json:
        document = _delivery_json(delivery) | {"attempts": [_attempt_json(attempt) for attempt in attempts]}
        if body:
            document["body"] = delivery.body.decode("utf-8", "replace")
        print(json.dumps(document, ensure_ascii=False))
        return
    console = _console()
    for name, value in (
        ("delivery", delivery.delivery_id),
        ("state", f"[{_COLOURS[delivery.state]}]{delivery.state.value}[/] {escape(printable(delivery.reason))}"),
        ("target", escape(printable(delivery.target.url or delivery.destination))),
        ("job", delivery.job_id or "-"),
        ("made", _moment(delivery.created_at)),
        ("next try", _moment(delivery.next_at)),
        ("body", f"{len(delivery.body)} bytes, {delivery.content_type}"),
    ):
        console.print(f"{name:<9} {value}", soft_wrap=True)
    for attempt in attempts:
        console.print(f"\n[bold]try {attempt.number}[/]  {_moment(attempt.started_at)}", soft_wrap=True)
        _print_report(console, attempt.report)
    if body:
        console.print()
        console.print(pretty(delivery.body)[0], markup=False, soft_wrap=True)


@callbacks.command()
def redeliver(
    delivery_ids: Annotated[list[str] | None, typer.Argument(help="Deliveries to send again.")] = None,
    data: Data = DATA,
    state: _State = None,
    job: _Job = None,
    destination: _Destination = None,
    since: _Since = None,
    until: _Until = None,
) -> None:
    """
    Send callbacks again, by id or by state, receiver and time.

    Id and bytes stay the same and the tries so far are kept.
    What had ended gets one more try; what waits for its next try is sent now.
    """
    wanted = _filter(state, job, destination, since, until)

    async def work(ledger: Ledger) -> int:
        for delivery_id in delivery_ids or ():
            await ledger.delivery(delivery_id)  # names the one that does not exist
        return await ledger.redeliver(delivery_ids=delivery_ids or None, wanted=wanted)

    count = _on_ledger(data, work)
    print(f"{count} callback{'' if count == 1 else 's'} will be sent again as soon as the server runs")


@callbacks.command()
def test(
    url: Annotated[str, typer.Argument(help="Where to send a sample callback.")],
    body_format: Annotated[Literal["XML", "JSON"], typer.Option("--format", help="Form of the body.")] = "XML",
    as_json: Json = False,
) -> None:
    """
    Send a sample callback to a URL now, as the server would: same guard, headers, signature and time limits.

    It leaves no trace in the database. The exit code is 0 when the receiver took it.
    """
    from smartcover.cli.sample_callback import send_sample  # brings an HTTP client along, which no other command needs

    delivery, report = asyncio.run(send_sample(CallbackTarget(url=url, format=body_format), _settings()))
    if as_json:
        print(json.dumps({"delivery_id": delivery.delivery_id} | _report_json(report), ensure_ascii=False))
    else:
        console = _console()
        console.print(f"sample callback {delivery.delivery_id} to {escape(printable(url))}", soft_wrap=True)
        _print_report(console, report)
    if report.outcome != "ok":
        raise typer.Exit(1)


def _on_ledger(data: Path, work: Callable[[Ledger], Awaitable[T]]) -> T:
    settings = _settings()

    async def opened() -> T:
        async with open_ledger(settings, data) as ledger:
            return await work(ledger)

    return asyncio.run(opened())


def _settings() -> Settings:
    settings = read_settings()
    configure_logs(settings)
    return settings


def _console() -> Console:
    return Console(highlight=False)


def _filter(
    state: DeliveryState | None, job: str | None, destination: str | None, since: str | None, until: str | None
) -> DeliveryFilter:
    if destination is not None and "://" in destination:
        from smartcover.callbacks import destination_of  # brings an HTTP client along, which lists need for this alone

        destination = destination_of(CallbackTarget(url=destination))
    return DeliveryFilter(job, state, destination, _time("--since", since), _time("--until", until))


def _time(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return datetime.now(UTC) - timedelta(**{_AGO_UNITS[ago[2]]: int(ago[1])})
    with suppress(ValueError):
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo is not None else moment.astimezone()
    raise SettingsError(f"{option} {text!r} is no time; write 90m, 2h, 3d, or 2022-06-30T15:00+08:00")


def _moment(moment: datetime | None) -> str:
    return "-" if moment is None else moment.astimezone().isoformat(sep=" ", timespec="seconds")


def _print_report(console: Console, report: AttemptReport) -> None:
    colour = "green" if report.outcome == "ok" else "red"
    status = "" if report.http_status is None else f"  HTTP {report.http_status}"
    place = "" if report.address is None else f"  from {report.address}"
    console.print(
        f"  [{colour}]{report.outcome}[/]{status}{place}  after {report.duration_seconds:.3f} s", soft_wrap=True
    )
    if report.error:
        console.print(f"  {escape(printable(report.error))}", soft_wrap=True)
    if report.answer_head:
        console.print(f"  answer: {escape(printable(report.answer_head.decode('utf-8', 'replace')))}", soft_wrap=True)


def _delivery_json(delivery: Delivery) -> dict[str, Any]:
    return {
        "delivery_id": delivery.delivery_id,
        "job_id": delivery.job_id,
        "bucket": delivery.bucket,
        "state": delivery.state.value,
        "reason": delivery.reason,
        "tries": delivery.tries,
        "created_at": delivery.created_at.isoformat(),
        "next_at": None if delivery.next_at is None else delivery.next_at.isoformat(),
        "destination": delivery.destination,
        "url": delivery.target.url,
        "content_type": delivery.content_type,
        "size_bytes": len(delivery.body),
    }


def _attempt_json(attempt: Attempt) -> dict[str, Any]:
    return {"number": attempt.number, "started_at": attempt.started_at.isoformat()} | _report_json(attempt.report)


def _report_json(report: AttemptReport) -> dict[str, Any]:
    return {
        "outcome": report.outcome,
        "http_status": report.http_status,
        "address": report.address,
        "duration_seconds": report.duration_seconds,
        "error": report.error,
        "answer_head": report.answer_head.decode("utf-8", "replace"),
        "retry_after_seconds": report.retry_after_seconds,
    }
