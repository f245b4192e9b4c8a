"""
The flows behind `smartcover conformance URL`: whether a server, ours or another, does what clients of covers need.

They speak plain HTTP, signed as the SDKs sign it, and know nothing of how our server works.
"""

from __future__ import annotations

from smartcover.conformance.bench import Flow
from smartcover.conformance.runner import FLOWS, Outcome, try_flows
from smartcover.conformance.wire import Server

__all__ = ["FLOWS", "Flow", "Outcome", "Server", "try_flows"]
