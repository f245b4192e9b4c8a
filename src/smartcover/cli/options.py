"""Options that commands for operators have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

#: Where `smartcover serve` keeps its state unless told otherwise.
DATA: Final = Path("smartcover-data")

Data = Annotated[Path, typer.Option(help="Data folder of the server; not used with SMARTCOVER_DATABASE_URL.")]


def flag(name: str, says: str, *, is_eager: bool = False) -> Any:
    """Declare an option that takes no value; typer's help would show it as one that takes a `<bool>`."""
    return typer.Option(name, metavar="", help=says, is_eager=is_eager)


Json = Annotated[bool, flag("--json", "Print one JSON document and nothing else.")]
