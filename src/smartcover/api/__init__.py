"""The HTTP edge: CI calls, object calls and the probes on one port."""

from __future__ import annotations

from smartcover.api.application import create_app
from smartcover.api.config import EdgeConfig, KeyRing
from smartcover.api.connection import edge_protocol
from smartcover.api.metrics import HttpMetrics
from smartcover.api.probes import Check, Probes, check_database, check_store, create_probes
from smartcover.api.waiting import create_waiting

__all__ = [
    "Check",
    "EdgeConfig",
    "HttpMetrics",
    "KeyRing",
    "Probes",
    "check_database",
    "check_store",
    "create_app",
    "create_probes",
    "create_waiting",
    "edge_protocol",
]
