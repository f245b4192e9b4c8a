"""`smartcover settings`: every setting with its value and meaning."""

from __future__ import annotations

from typing import Annotated

from pydantic import SecretStr
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from smartcover.cli.options import flag
from smartcover.settings import Settings, read_settings


def settings(
    plain: Annotated[bool, flag("--plain", "One NAME=value a line, for programs.")] = False,
) -> None:
    """Show every setting of the service with its value and meaning; secrets are masked."""
    now = read_settings()
    rows = [
        (f"SMARTCOVER_{name.upper()}", _text(getattr(now, name)), _text(field.default), field.description or "")
        for name, field in Settings.model_fields.items()
    ]
    if plain:
        for name, value, _, _ in rows:
            print(f"{name}={value}")
        return
    console = Console(highlight=False)
    for name, value, default, meaning in rows:
        origin = "default" if value == default else f"default {default or 'unset'}"
        console.print(f"[bold]{name}[/bold] = {escape(value) or '[dim]unset[/dim]'} [dim]({escape(origin)})[/dim]")
        console.print(Padding(escape(meaning), (0, 0, 0, 4)))


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return "********"
    if isinstance(value, tuple):
        return ",".join(f"{item:g}" if isinstance(item, float | int) else str(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
