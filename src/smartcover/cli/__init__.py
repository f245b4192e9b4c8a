"""
The commands.

Each command lives in a module of its own. Those that need more than the engine are imported when they are called,
so that `smartcover pick` starts fast and works with the engine alone.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from importlib.metadata import version as package_version
from typing import Annotated, Any

import typer

from smartcover.cli.options import flag
from smartcover.cli.terminal import one_line
from smartcover.errors import SettingsError, SmartCoverError

__all__ = ["application", "run"]

#: Commands that read no settings, so that nothing can be misspelt for them.
_WITHOUT_SETTINGS = frozenset({"pick", "listen", "conformance"})
#: These tell the log instead, as they do of all else.
_ROLES = frozenset({"serve", "api", "worker", "dispatcher"})

#: Command name, module below this room, and one line for `smartcover --help`.
COMMANDS = (
    ("pick", "pick", "Pick the best covers of videos."),
    ("serve", "serve", "Run the whole service: API, worker and callbacks, with its database."),
    ("api", "roles", "Answer requests only, on a shared database and store."),
    ("worker", "roles", "Make covers only, on a shared database and store."),
    ("dispatcher", "roles", "Deliver callbacks only, on a shared database and store."),
    ("db", "db", "Upgrade or check the schema of your own database."),
    ("keys", "keys", "Make, change, rotate and revoke key pairs of teams."),
    ("listen", "listen", "Receive callbacks while you develop: print, check, or fail on purpose."),
    ("callbacks", "callbacks", "See, repeat and try callbacks: list, show, redeliver, test."),
    ("objects", "objects", "Compare the folder of objects with the database, as after a restore."),
    ("conformance", "conformance", "Try whether a server does what clients of covers need."),
    ("doctor", "doctor", "Say what would fail before it fails."),
    ("settings", "settings", "Show every setting of the service with its value and meaning."),
)


class _Late(typer.core.TyperGroup):
    """A command group that imports a command's module only when that command is called or its help is shown."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for name, _, _ in COMMANDS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        for name, module, summary in COMMANDS:
            if name == cmd_name:
                return _command(module, name, summary)
        return None


def _command(module: str, name: str, summary: str) -> Any:
    single = typer.Typer(add_completion=False)
    try:
        function: Callable[..., None] | typer.Typer = getattr(importlib.import_module(f"smartcover.cli.{module}"), name)
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] == "smartcover":
            raise
        _stand_in(single, name, summary, f'{missing.name}, which is not installed: pip install "smartcover[server]"')
    else:
        if isinstance(function, typer.Typer):  # a group of commands
            return typer.main.get_command(function)
        single.command(name, short_help=summary)(function)
    return typer.main.get_command(single)


def _stand_in(application: typer.Typer, name: str, summary: str, needed: str) -> None:
    """Let a command that cannot be imported say what it needs, whatever options and commands are given to it."""

    @application.command(
        name,
        help=f"{summary} Needs {needed}".replace("[", "\\["),
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
    def refuse() -> None:
        raise SettingsError(f"{name} needs {needed}")


application = typer.Typer(
    cls=_Late,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Good covers for videos: a command, and a service that speaks the API of Tencent Cloud CI SmartCover.",
)


@application.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, flag("--version", "Print the version and stop.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(package_version("smartcover"))
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
    elif context.invoked_subcommand not in _WITHOUT_SETTINGS | _ROLES:
        _name_strange_variables()


def _name_strange_variables() -> None:
    try:
        from smartcover.settings import strange_variables
    except ModuleNotFoundError:  # the command itself says which extra is missing
        return
    for line in strange_variables():
        print(f"smartcover: {line}", file=sys.stderr)


def run() -> None:
    """Run the command line; our own errors become one line on standard error and exit code 1."""
    try:
        application()
    except SmartCoverError as error:
        print(f"smartcover: {one_line(error.public)}", file=sys.stderr)
        sys.exit(1)
