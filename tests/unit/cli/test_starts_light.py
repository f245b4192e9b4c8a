"""Commands of the operator start without the server: they load neither its API nor its migrations nor its engine."""

from __future__ import annotations

import subprocess
import sys

import pytest

_OF_THE_SERVER = {"aiohttp", "alembic", "av", "fastapi", "numpy", "onnxruntime", "sqlalchemy", "starlette", "uvicorn"}


@pytest.mark.parametrize("command", ["callbacks", "db", "keys", "objects"])
def test_a_command_that_asks_the_database_loads_nothing_of_the_server(command: str) -> None:
    asked = f"import sys, smartcover.cli.{command}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    loaded = set(subprocess.check_output([sys.executable, "-c", asked], text=True, timeout=60).split())
    assert "asyncpg" in loaded, "else it does not ask the database at all"
    assert not loaded & _OF_THE_SERVER
