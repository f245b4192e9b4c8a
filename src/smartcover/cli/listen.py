"""
`smartcover listen`: a receiver of callbacks to develop against.

It takes what any receiver may get, so nothing in a request is trusted: bodies are capped, XML is read without
entities, and what goes to the terminal holds no control characters.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import signal
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from aiohttp import web
from rich.console import Console
from rich.markup import escape
from rich.syntax import Syntax
from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError, WebhookVerificationError

from smartcover.cli.options import flag
from smartcover.cli.terminal import pretty, printable
from smartcover.errors import SettingsError

_MAX_BODY_BYTES: Final = 16 * 1024 * 1024
_TAKEN: Final = web.HTTPOk.status_code


def listen(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 = any free one.")] = 8461,
    fail: Annotated[int, typer.Option(min=0, help="Answer 500 to the first N tries of each callback.")] = 0,
    hang: Annotated[float, typer.Option(min=0, help="Wait this many seconds before each answer.")] = 0.0,
    save: Annotated[Path | None, typer.Option(help="Keep each body as a file in this folder.")] = None,
    secret: Annotated[
        str | None, typer.Option(help="whsec_… secret; a callback whose signature is wrong gets 401.")
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after this many callbacks were accepted.")] = None,
    once: Annotated[bool, flag("--once", "The same as --count 1.")] = False,
) -> None:
    """
    Receive callbacks while you develop: print each one, check its signature, or fail on purpose.

    Any path will do. A server on the same machine needs SMARTCOVER_CALLBACK_ALLOW=127.0.0.1 to reach it.
    """
    plan = _Plan(fail, hang, _folder(save), _verifier(secret), 1 if once else count)
    asyncio.run(_serve(host, port, plan))


@dataclass(frozen=True, slots=True)
class _Plan:
    """How the receiver behaves."""

    fail: int
    hang_seconds: float
    folder: Path | None
    verifier: Webhook | None
    count: int | None


@dataclass(slots=True)
class _Desk:
    """What has come in so far, and the way it is shown."""

    plan: _Plan
    stop: asyncio.Event
    console: Console = field(default_factory=lambda: Console(highlight=False))
    requests: int = 0
    tries: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)

    async def receive(self, request: web.Request) -> web.StreamResponse:
        """Take one request, show it, and answer as planned."""
        if request.method != "POST":
            return web.Response(text="smartcover listen takes callbacks by POST, on any path\n")
        body = await request.read()
        self.requests += 1
        delivery_id = request.headers.get("webhook-id", "")
        key = delivery_id or hashlib.sha256(body).hexdigest()
        self.tries[key] += 1
        signature, genuine = self._check(request, body)
        self._show(request, body, delivery_id, self.tries[key], signature)
        self._keep(body, request.content_type, delivery_id)
        if self.plan.hang_seconds:
            await asyncio.sleep(self.plan.hang_seconds)
        status, word = self._answer(key, genuine)
        if status != _TAKEN:
            self.console.print(f"  [red]answered {status}: {word}[/]")
        response = web.Response(status=status, text=f"{word}\n")
        try:
            await response.prepare(request)
            await response.write_eof()
        except ConnectionError:
            self.console.print("  [yellow]the sender had left before the answer[/]")
            return response
        if status == _TAKEN:
            self.accepted[key] += 1
            if self.plan.count is not None and len(self.accepted) >= self.plan.count:
                self.stop.set()
        return response

    def _answer(self, key: str, genuine: bool) -> tuple[int, str]:
        if not genuine:
            return web.HTTPUnauthorized.status_code, "the signature is wrong"
        if self.tries[key] <= self.plan.fail:
            return web.HTTPInternalServerError.status_code, "failing on purpose"
        return _TAKEN, "taken"

    def _check(self, request: web.Request, body: bytes) -> tuple[str, bool]:
        if self.plan.verifier is None:
            return ("not checked; give --secret" if "webhook-signature" in request.headers else "none"), True
        try:
            self.plan.verifier.verify(body, dict(request.headers), json_parse=False)
        except (WebhookVerificationError, ValueError) as error:
            return f"[bold red]WRONG[/]: {escape(printable(str(error)))}", False
        return "[green]right[/]", True

    def _show(self, request: web.Request, body: bytes, delivery_id: str, tries: int, signature: str) -> None:
        now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        again = "" if tries == 1 else f" [yellow]try {tries}{', taken before' if self._taken(delivery_id) else ''}[/]"
        self.console.print(f"[bold]#{self.requests}[/] {now}  POST {escape(printable(request.path_qs))}{again}")
        kind = printable(request.headers.get("Content-Type", "no content type"))
        self.console.print(f"  delivery   {escape(printable(delivery_id) or 'no webhook-id')}", soft_wrap=True)
        self.console.print(f"  body       {len(body)} bytes, {escape(kind)}", soft_wrap=True)
        self.console.print(f"  signature  {signature}", soft_wrap=True)
        text, language = pretty(body)
        if self.console.is_terminal:
            self.console.print(Syntax(text, language, background_color="default", word_wrap=True))
        else:
            self.console.print(text, markup=False, soft_wrap=True)

    def _taken(self, delivery_id: str) -> bool:
        return bool(delivery_id) and self.accepted[delivery_id] > 0

    def _keep(self, body: bytes, content_type: str, delivery_id: str) -> None:
        if self.plan.folder is None:
            return
        suffix = {"application/xml": "xml", "text/xml": "xml", "application/json": "json"}.get(content_type, "bin")
        name = re.sub(r"[^A-Za-z0-9_-]", "_", delivery_id)[:80] or "callback"
        path = self.plan.folder / f"{self.requests:04d}-{name}.{suffix}"
        path.write_bytes(body)
        self.console.print(f"  saved      {path}", markup=False, soft_wrap=True)


async def _serve(host: str, port: int, plan: _Plan) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    desk = _Desk(plan, stop)
    application = web.Application(client_max_size=_MAX_BODY_BYTES)
    application.router.add_route("*", "/{path:.*}", desk.receive)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {host}:{port}: {error.strerror or error}; choose another --host or --port"
            ) from error
        bound = runner.addresses[0]
        shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        desk.console.print(f"receiving callbacks at http://{shown}:{bound[1]}/", markup=False, soft_wrap=True)
        await stop.wait()
    finally:
        await runner.cleanup()


def _folder(save: Path | None) -> Path | None:
    if save is not None:
        try:
            save.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"--save {save} cannot be used: {error.strerror}; choose another folder") from error
    return save


def _verifier(secret: str | None) -> Webhook | None:
    if secret is None:
        return None
    try:
        return Webhook(secret)
    except (ValueError, EmptyWebhookSecretError) as error:
        raise SettingsError(f"--secret is not whsec_ followed by base64: {error}") from error
