"""`smartcover keys`: the key pairs of teams, for the operator: add, list, change, rotate, revoke."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

from smartcover.app.administer import open_ledger
from smartcover.app.keyring import secret_maker
from smartcover.app.logs import configure_logs
from smartcover.cli.options import DATA, Data, Json, flag
from smartcover.errors import SettingsError
from smartcover.ledger import Ledger, TeamKey
from smartcover.service import (
    IssuedKey,
    Right,
    SecretMaker,
    add_team_key,
    change_team_key,
    overlapping_keys,
    rotate_team_key,
)
from smartcover.settings import Settings, read_settings

__all__ = ["keys"]

T = TypeVar("T")

keys = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Key pairs of teams, each bound to buckets and rights."
)

_PERIOD: Final = re.compile(r"(\d{1,6})(s|m|h|d)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}

_Id = Annotated[str, typer.Argument(help="The SecretId, as `list` shows it.")]
_Buckets = Annotated[
    list[str], typer.Option("--bucket", help="A bucket, or the beginning of names with a star: 'teama-*'. Repeatable.")
]
_Rights = Annotated[list[Right], typer.Option("--right", help="read, submit or admin. Repeatable.")]


@keys.command()
def add(
    team: Annotated[str, typer.Argument(help="Name of the team; it may have several key pairs.")],
    buckets: _Buckets,
    rights: _Rights = [Right.READ, Right.SUBMIT],  # noqa: B006 - typer takes defaults of lists so; nobody changes it
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Make a key pair and show its secret, this once."""

    async def work(ledger: Ledger, maker: SecretMaker) -> tuple[IssuedKey, list[TeamKey]]:
        issued = await add_team_key(ledger.keys, maker, team, buckets=buckets, rights=rights)
        return issued, await overlapping_keys(ledger.keys, issued.key)

    issued, others = _with_secrets(data, work)
    _print_issued(issued, as_json)
    _warn_of_overlaps(issued.key, others)


@keys.command("list")
def list_(
    data: Data = DATA,
    revoked: Annotated[bool, flag("--revoked", "Also those that were revoked.")] = False,
    as_json: Json = False,
) -> None:
    """List the key pairs, without their secrets."""
    found = _on_ledger(data, read_settings(), lambda ledger: ledger.keys.all(also_revoked=revoked))
    if as_json:
        print(json.dumps({"keys": [_key_json(key) for key in found]}))
        return
    console = Console(highlight=False)
    for key in found:
        console.print(
            f"[bold]{escape(key.team)}[/]  {key.secret_id}  {', '.join(key.rights)}  {escape(', '.join(key.buckets))}",
            soft_wrap=True,
        )
        state = f"[red]revoked {_moment(key.revoked_at)}[/]" if key.revoked_at else _secrets_line(key)
        console.print(f"    made {_moment(key.created_at)}; {state}", soft_wrap=True)
    if not found:
        console.print("no key pairs of teams; make one with smartcover keys add")


@keys.command()
def change(
    secret_id: _Id,
    buckets: _Buckets = [],  # noqa: B006 - as above
    rights: _Rights = [],  # noqa: B006 - as above
    data: Data = DATA,
) -> None:
    """Set the buckets or the rights of a key pair, all of them anew; its secret stays."""
    if not buckets and not rights:
        raise SettingsError(
            "nothing to change; give --bucket, --right or both, each time all that the key pair is to have"
        )

    async def work(ledger: Ledger) -> tuple[TeamKey, list[TeamKey]]:
        key = await change_team_key(ledger.keys, secret_id, buckets=buckets or None, rights=rights or None)
        return key, await overlapping_keys(ledger.keys, key)

    key, others = _on_ledger(data, read_settings(), work)
    print(f"{key.secret_id} of {key.team} may {', '.join(key.rights)} in {', '.join(key.buckets)}")
    _warn_of_overlaps(key, others)


@keys.command()
def rotate(
    secret_id: _Id,
    keep_old: Annotated[str, typer.Option(help="How long the old secret goes on working: 0s, 30m, 24h, 7d.")] = "24h",
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Make a new secret for a key pair and show it, this once; the SecretId stays, and the old secret for a while."""
    period = _PERIOD.fullmatch(keep_old)
    if period is None:
        raise SettingsError(f"--keep-old is {keep_old!r}; give a number and s, m, h or d, such as 24h")
    seconds = float(int(period[1]) * _SECONDS[period[2]])
    issued = _with_secrets(
        data, lambda ledger, maker: rotate_team_key(ledger.keys, maker, secret_id, keep_seconds=seconds)
    )
    _print_issued(issued, as_json)
    if not as_json:
        for seed in issued.key.seeds[1:]:
            print(f"The secret of {_moment(seed.created_at)} works until {_moment(seed.ends_at)}.")


@keys.command()
def revoke(secret_id: _Id, data: Data = DATA) -> None:
    """End a key pair for good, within seconds on every server; what it had accepted runs to its end."""
    key = _on_ledger(data, read_settings(), lambda ledger: ledger.keys.revoke(secret_id))
    print(f"revoked {key.secret_id} of {key.team}")


def _print_issued(issued: IssuedKey, as_json: bool) -> None:
    key = issued.key
    if as_json:
        print(json.dumps({**_key_json(key), "secret_key": issued.secret_key}))
        return
    print(f"SecretId   {key.secret_id}")
    print(f"SecretKey  {issued.secret_key}")
    print(f"Team {key.team} may {', '.join(key.rights)} in {', '.join(key.buckets)}.")
    print("Hand both over now: the SecretKey is not kept and is not shown again.")


def _warn_of_overlaps(key: TeamKey, others: Sequence[TeamKey]) -> None:
    for other in others[:10]:
        print(
            f"Note: {other.secret_id} of {other.team} may use some of these buckets ({', '.join(other.buckets)}).",
            file=sys.stderr,
        )


def _secrets_line(key: TeamKey) -> str:
    ends = [_moment(seed.ends_at) for seed in key.seeds if seed.ends_at is not None]
    line = f"{len(key.seeds)} secret{'s' if len(key.seeds) != 1 else ''} in force"
    return f"{line}, one until {', one until '.join(ends)}" if ends else line


def _key_json(key: TeamKey) -> dict[str, Any]:
    return {
        "secret_id": key.secret_id,
        "team": key.team,
        "buckets": list(key.buckets),
        "rights": list(key.rights),
        "created_at": key.created_at.isoformat(),
        "revoked_at": None if key.revoked_at is None else key.revoked_at.isoformat(),
        "secrets": [
            {
                "created_at": seed.created_at.isoformat(),
                "ends_at": None if seed.ends_at is None else seed.ends_at.isoformat(),
            }
            for seed in key.seeds
        ],
    }


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone().isoformat(sep=" ", timespec="seconds")


def _with_secrets(data: Path, work: Callable[[Ledger, SecretMaker], Awaitable[T]]) -> T:
    settings = read_settings()
    maker = secret_maker(settings, data if data.is_dir() else None)
    if maker is None:
        raise SettingsError(
            "set SMARTCOVER_KEYS_SECRET, the same for every API process: secrets of key pairs are made from it"
            if settings.database_url is not None
            else f"{data} is not the data folder of a server; give it with --data"
        )
    return _on_ledger(data, settings, lambda ledger: work(ledger, maker))


def _on_ledger(data: Path, settings: Settings, work: Callable[[Ledger], Awaitable[T]]) -> T:
    configure_logs(settings)

    async def run() -> T:
        async with open_ledger(settings, data) as ledger:
            return await work(ledger)

    return asyncio.run(run())
