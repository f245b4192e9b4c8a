"""The composition root: where rooms meet and settings become plain values."""

from __future__ import annotations

from smartcover.app.administer import open_ledger, open_objects
from smartcover.app.credentials import KeyPair
from smartcover.app.database_wait import DatabaseWait
from smartcover.app.http import Address
from smartcover.app.keyring import TeamKeyRing, secret_maker
from smartcover.app.logs import configure_logs, log_strange_variables
from smartcover.app.serve import Role, serve

__all__ = [
    "Address",
    "DatabaseWait",
    "KeyPair",
    "Role",
    "TeamKeyRing",
    "configure_logs",
    "log_strange_variables",
    "open_ledger",
    "open_objects",
    "secret_maker",
    "serve",
]
