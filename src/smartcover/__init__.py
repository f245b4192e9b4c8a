"""
Good covers for videos: a library, a command and a self-hosted SmartCover service.

    from smartcover import pick_covers

    picks = pick_covers("holiday.mp4")
    picks.covers[0].image  # JPEG bytes, best first

Importing this package loads nothing heavy; `pick_covers` needs `pip install "smartcover[engine]"`. Receivers of
callbacks import `smartcover.receiver`, which needs the plain package only.
"""

from __future__ import annotations

from smartcover.engine import Cover, CoverOptions, Limits, Picks, Rejection, VideoInfo, pick_covers
from smartcover.errors import SmartCoverError

__all__ = [
    "Cover",
    "CoverOptions",
    "Limits",
    "Picks",
    "Rejection",
    "SmartCoverError",
    "VideoInfo",
    "pick_covers",
]
