"""Every model file that ships is accounted for in NOTICE, and together they stay small."""

from __future__ import annotations

import hashlib
import re
from importlib import resources
from pathlib import Path

_FOLDER = Path(str(resources.files("smartcover.engine").joinpath("models")))
_FIELDS = ("What", "Upstream", "Licence", "Source", "Member", "Vendored", "Rebuild")
_MOST_BYTES = 20_000_000


def _entries() -> dict[str, str]:
    parts = re.split(r"^(\S+\.onnx)$", (_FOLDER / "NOTICE").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_model_file_has_an_entry_with_its_hash() -> None:
    files = {path.name: path for path in _FOLDER.iterdir() if path.name != "NOTICE"}
    assert files.keys() == _entries().keys()
    for name, text in _entries().items():
        digest = hashlib.sha256(files[name].read_bytes()).hexdigest()
        assert re.search(rf"^ +Vendored: +sha256 {digest}$", text, re.MULTILINE), name


def test_every_entry_says_where_the_file_comes_from_and_on_what_terms() -> None:
    for name, text in _entries().items():
        for field in _FIELDS:
            assert re.search(rf"^ +{field}: +\S", text, re.MULTILINE), f"{name} has no {field}"
        assert len(re.findall(r"sha256 [0-9a-f]{64}\b", text)) == 3, f"{name}: hash of package, member and our file"


def test_an_entry_says_what_its_rebuild_script_pins() -> None:
    for name, text in _entries().items():
        script = re.search(r"Rebuild: +(\S+)", text)
        assert script is not None
        recipe = Path(__file__).parents[3] / script.group(1)
        source = recipe.read_text(encoding="utf-8")
        for digest in re.findall(r"sha256 ([0-9a-f]{64})", text)[:2]:
            assert digest in source, f"{name}: {digest} is not in {recipe.name}"


def test_no_entry_is_under_a_licence_that_binds_users() -> None:
    for name, text in _entries().items():
        licence = re.search(r"Licence: +(.*)", text)
        assert licence is not None
        assert re.match(r"(MIT|Apache License 2\.0)\b", licence.group(1)), f"{name}: {licence.group(1)}"


def test_the_model_files_together_stay_small() -> None:
    assert sum(path.stat().st_size for path in _FOLDER.iterdir()) < _MOST_BYTES
