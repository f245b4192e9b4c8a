"""The HTTP edge: CI calls, object calls and the probes on one port."""

from __future__ import annotations

from smartcover.api.application import create_app
from smartcover.api.config import EdgeConfig, KeyRing
from smartcover.api.connection import edge_protocol

__all__ = ["EdgeConfig", "KeyRing", "create_app", "edge_protocol"]
