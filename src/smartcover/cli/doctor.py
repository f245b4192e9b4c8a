"""`smartcover doctor`: what would fail, before it fails."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from smartcover.app.doctor import Finding, examine
from smartcover.app.logs import configure_logs
from smartcover.cli.options import Json
from smartcover.errors import SettingsError
from smartcover.settings import read_settings

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(
    data: Annotated[Path, typer.Option(help="Data folder of smartcover serve.")] = Path("smartcover-data"),
    as_json: Json = False,
) -> None:
    """
    Check database, storage, clock, decoders, models, isolation and callbacks.

    With SMARTCOVER_DATABASE_URL set it checks what separate roles would use;
    else the folder of smartcover serve, whether that runs or not.
    The exit code is 1 when something would fail.
    """
    try:
        settings = read_settings()
    except SettingsError as error:
        findings = [Finding("settings", "fail", error.public, "nothing else was looked at")]
    else:
        configure_logs(settings.model_copy(update={"log_level": "error"}))
        findings = asyncio.run(examine(settings, None if settings.database_url is not None else data))
    if as_json:
        print(json.dumps({"findings": [asdict(finding) for finding in findings]}))
    else:
        table = Table(show_lines=False, header_style="bold", box=None)
        for heading in ("", "check", "seen"):
            table.add_column(heading, overflow="fold")
        for finding in findings:
            text = escape(finding.seen) + (f"\n[dim]{escape(finding.advice)}[/dim]" if finding.advice else "")
            table.add_row(f"[{_COLOURS[finding.level]}]{finding.level}[/]", finding.check, text)
        Console(highlight=False).print(table)
    if any(finding.level == "fail" for finding in findings):
        raise typer.Exit(1)
