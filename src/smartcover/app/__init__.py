"""
The composition root: where rooms meet and settings become plain values.

It exports nothing. Each command imports the module that it needs, so that one that asks the database does not load
the server first.
"""

from __future__ import annotations

__all__: list[str] = []
