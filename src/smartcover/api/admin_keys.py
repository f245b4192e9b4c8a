"""The part of the admin API that makes and ends key pairs of teams, for key pairs that hold admin in every bucket."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Body, FastAPI
from pydantic import BaseModel, ConfigDict, Field

from smartcover.api.edge import Edge
from smartcover.api.login import Login
from smartcover.errors import AccessDenied, BadParameter
from smartcover.ledger import TeamKey
from smartcover.service import (
    KEEP_OLD_SECONDS,
    Access,
    IssuedKey,
    Right,
    SecretMaker,
    add_team_key,
    change_team_key,
    overlapping_keys,
    rotate_team_key,
)

_KEYS: Final = "/admin/v1/keys"


class NewKey(BaseModel):
    """A key pair to make."""

    model_config = ConfigDict(extra="forbid")

    team: str
    buckets: list[str] = Field(description="Names, or beginnings of names with a star behind them.")
    rights: list[Right] = [Right.READ, Right.SUBMIT]


class Rotation(BaseModel):
    """How long the secrets that are replaced go on working."""

    model_config = ConfigDict(extra="forbid")

    keep_old_seconds: float = KEEP_OLD_SECONDS


class Change(BaseModel):
    """What a key pair may do from now on; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    buckets: list[str] | None = None
    rights: list[Right] | None = None


def add_keys(app: FastAPI, edge: Edge) -> None:
    """Add the calls to the admin API."""
    keys = edge.ledger.keys

    @app.get(_KEYS, tags=["keys"])
    async def list_keys(access: Login, revoked: bool = False) -> dict[str, Any]:
        """List the key pairs of teams, without their secrets."""
        _require_operator(access)
        return {"keys": [shown_key(key) for key in await keys.all(also_revoked=revoked)]}

    @app.post(_KEYS, status_code=201, tags=["keys"])
    async def make_key(access: Login, wanted: Annotated[NewKey, Body()]) -> dict[str, Any]:
        """Make a key pair for a team; this answer alone shows its secret."""
        _require_operator(access)
        issued = await add_team_key(keys, _maker(edge), wanted.team, buckets=wanted.buckets, rights=wanted.rights)
        others = await overlapping_keys(keys, issued.key)
        return {**_shown_issued(issued), "overlaps": [shown_key(other) for other in others]}

    @app.post(f"{_KEYS}/{{secret_id}}/rotate", tags=["keys"])
    async def rotate_key(access: Login, secret_id: str, wanted: Annotated[Rotation, Body()]) -> dict[str, Any]:
        """Make a new secret for a key pair, beside the old ones for a while; this answer alone shows it."""
        _require_operator(access)
        return _shown_issued(await rotate_team_key(keys, _maker(edge), secret_id, keep_seconds=wanted.keep_old_seconds))

    @app.put(f"{_KEYS}/{{secret_id}}", tags=["keys"])
    async def change_key(access: Login, secret_id: str, wanted: Annotated[Change, Body()]) -> dict[str, Any]:
        """Change the buckets or rights of a key pair."""
        _require_operator(access)
        return shown_key(await change_team_key(keys, secret_id, buckets=wanted.buckets, rights=wanted.rights))

    @app.delete(f"{_KEYS}/{{secret_id}}", tags=["keys"])
    async def revoke_key(access: Login, secret_id: str) -> dict[str, Any]:
        """End a key pair for good."""
        _require_operator(access)
        return {"revoked": (await keys.revoke(secret_id)).secret_id}


def shown_key(key: TeamKey) -> dict[str, Any]:
    """Show a key pair without its secrets."""
    return {
        "secret_id": key.secret_id,
        "team": key.team,
        "buckets": list(key.buckets),
        "rights": list(key.rights),
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
        "secrets": [{"created_at": seed.created_at, "ends_at": seed.ends_at} for seed in key.seeds],
    }


def _shown_issued(issued: IssuedKey) -> dict[str, Any]:
    return {**shown_key(issued.key), "secret_key": issued.secret_key}


def _require_operator(access: Access) -> None:
    if not access.is_operator:
        raise AccessDenied("Key pairs are managed by those that hold the right admin in every bucket")


def _maker(edge: Edge) -> SecretMaker:
    if edge.secret_maker is None:
        raise BadParameter("this server was given nothing to make secrets from; set SMARTCOVER_KEYS_SECRET")
    return edge.secret_maker
