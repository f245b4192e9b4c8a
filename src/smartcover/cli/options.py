"""Options that commands for operators have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

#: Where `smartcover serve` keeps its state unless told otherwise.
DATA: Final = Path("smartcover-data")

Data = Annotated[Path, typer.Option(help="Data folder of the server; not used with SMARTCOVER_DATABASE_URL.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
