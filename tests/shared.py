"""Where the material that lies beside the checkout is, if it is there; tests that use it are skipped without it."""

from __future__ import annotations

from pathlib import Path

_CANDIDATE = Path(__file__).resolve().parents[2] / "shared"

SHARED: Path | None = _CANDIDATE if (_CANDIDATE / "seed").is_dir() else None
