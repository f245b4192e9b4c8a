"""
Good covers for videos: a library, a command and a self-hosted SmartCover service.

    from smartcover import pick_covers

    picks = pick_covers("holiday.mp4")
    picks.covers[0].image  # JPEG bytes, best first

Importing this package loads nothing: each name is looked up when it is first asked for, so that the command hears an
interrupt from its first moment. `pick_covers` needs `pip install "smartcover[engine]"`. Receivers of callbacks import
`smartcover.receiver`, which needs the plain package only.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing has it, which takes longer to import than all the rest
if TYPE_CHECKING:
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


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in ("engine", "errors"):
        return import_module(f"{__name__}.{name}")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{'errors' if name == 'SmartCoverError' else 'engine'}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
