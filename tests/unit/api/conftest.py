"""One edge for the tests of this room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from smartcover.api import EdgeConfig
from tests.edge_server import BUCKET, REGION, RunningEdge, running_edge


@pytest.fixture(scope="package")
def edge() -> Iterator[RunningEdge]:
    with running_edge(EdgeConfig(region=REGION, default_bucket=BUCKET)) as running:
        yield running
