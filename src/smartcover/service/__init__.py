"""Use cases: what a caller may ask of smartcover, one function each, whatever protocol the wish came by."""

from __future__ import annotations

from smartcover.service.buckets import create_bucket
from smartcover.service.jobs import Described, JobLedger, cancel, describe, submit

__all__ = ["Described", "JobLedger", "cancel", "create_bucket", "describe", "submit"]
