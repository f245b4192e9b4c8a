"""Golden files are rewritten only on demand: `pytest tests/golden --rewrite-golden`, then read the difference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

OURS = Path(__file__).parent / "ours"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite-golden", action="store_true", default=False, help="write golden files instead of comparing"
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, bytes], None]:
    """Compare bytes with the golden file of that name."""
    rewrite = bool(request.config.getoption("--rewrite-golden", default=False))

    def compare(name: str, body: bytes) -> None:
        path = OURS / name
        if rewrite:
            path.write_bytes(body)
        assert path.is_file(), f"{path} is missing; write it with --rewrite-golden"
        assert body == path.read_bytes(), f"{name} has changed; if that is wanted, write it with --rewrite-golden"

    return compare
