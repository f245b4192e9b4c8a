"""The `smartcover` command; says which extra to install when a part is not there."""

from __future__ import annotations

import sys
from collections.abc import Callable


def main() -> None:
    """Run the command line; an interrupt ends it without a word and with exit code 130, also before it has begun."""
    try:
        _load()()
    except KeyboardInterrupt:
        sys.exit(130)


def _load() -> Callable[[], None]:
    """Import the command line, or say in one line what to install for it."""
    try:
        from smartcover.cli import run
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] == "smartcover":
            raise
        sys.exit(
            f"smartcover: {missing.name} is not installed. The plain package is the callback receiver; for the "
            'command install one of: pip install "smartcover[engine]" (covers from videos), '
            'pip install "smartcover[server]" (the service too).'
        )
    return run


if __name__ == "__main__":
    main()
