"""What the contract suites of the adaptors share."""

from __future__ import annotations

from tests.objects_database import object_dsn, object_pool

__all__ = ["object_dsn", "object_pool"]
