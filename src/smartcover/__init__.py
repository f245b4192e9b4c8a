"""Good covers for videos: a library, a command and a self-hosted SmartCover service."""

from __future__ import annotations

__all__: list[str] = []
