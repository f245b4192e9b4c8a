"""The shape of the code: imports go down the list of rooms, modules stay small, exported names are sorted and real."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "smartcover"

#: Rooms from the top down; rooms of one line are neighbours and may not import each other.
FLOORS = (
    ("__main__",),
    ("cli",),
    ("app",),
    ("api", "console", "worker"),
    ("service", "callbacks"),
    # conformance tests servers of any make, so it may know the words of the wire and nothing of how ours works.
    ("storage", "ledger", "receiver", "conformance"),
    ("protocol", "engine"),
    ("errors",),
)
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

#: settings.py reads the environment; only these rooms may see it, the rest gets plain values.
SETTINGS_READERS = {"app", "cli"}

#: Rooms that must stay installable alone, and the heaviest packages each may import.
LIGHT_ROOMS = {
    "errors": set[str](),
    "protocol": {"lxml", "pydantic", "pydantic_core"},
    "receiver": {"lxml", "pydantic", "pydantic_core"},
    "conformance": {"lxml", "pydantic", "pydantic_core"},
}

#: Modules of more than 500 lines, each with the reason why it is one idea.
LONG_MODULES: dict[str, str] = {}


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(SOURCE.rglob("*.py")):
        relative = path.relative_to(SOURCE)
        yield relative.parts[0].removesuffix(".py"), path


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; write the whole name"
            if node.module == "smartcover":
                for alias in node.names:
                    yield node.lineno, f"smartcover.{alias.name}"
            elif node.module:
                yield node.lineno, node.module


def test_imports_only_go_down_the_list_of_rooms() -> None:
    wrong = []
    for room, path in modules():
        if room in {"__init__", "settings"}:
            continue
        assert room in FLOOR_OF, f"{path}: no room is called {room}; add it to the list of rooms or move the module"
        for line, name in imports_of(path):
            if not name.startswith("smartcover."):
                continue
            target = name.split(".")[1]
            if target == room:
                continue
            if target == "settings":
                if room not in SETTINGS_READERS:
                    wrong.append(f"{path}:{line}: {room} may not read settings; pass the value in")
            elif target not in FLOOR_OF:
                wrong.append(f"{path}:{line}: smartcover.{target} is not a room")
            elif FLOOR_OF[target] <= FLOOR_OF[room]:
                wrong.append(f"{path}:{line}: {room} may not import {target}, which is not below it")
    assert not wrong, "\n".join(wrong)


def test_other_rooms_are_entered_through_their_front_door() -> None:
    wrong = [
        f"{path}:{line}: imports {name}; import from smartcover.{name.split('.')[1]} what it exports"
        for room, path in modules()
        for line, name in imports_of(path)
        if name.startswith("smartcover.")
        and name.count(".") > 1
        and name.split(".")[1] not in {room}
        and not (room in {"app", "cli", "__main__"} or name.split(".")[1] == "settings")
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("room", sorted(LIGHT_ROOMS))
def test_light_rooms_need_nothing_heavy(room: str) -> None:
    import sys

    allowed = LIGHT_ROOMS[room] | {"smartcover", "__future__"} | set(sys.stdlib_module_names)
    wrong = [
        f"{path}:{line}: {name}"
        for here, path in modules()
        if here == room and "adapters" not in path.parts
        for line, name in imports_of(path)
        if name.split(".")[0] not in allowed
    ]
    assert not wrong, f"{room} must stay light:\n" + "\n".join(wrong)


def test_only_settings_reads_the_environment() -> None:
    wrong = []
    for room, path in modules():
        if room == "settings":
            continue
        wrong += [
            f"{path}:{node.lineno}: reads the environment; make it a setting"
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
        ]
    assert not wrong, "\n".join(wrong)


def test_modules_of_the_engine_import_only_what_its_map_names_before_them() -> None:
    engine = SOURCE / "engine"
    files = {path.stem: path for path in engine.glob("*.py") if path.stem != "__init__"}
    page = ast.get_docstring(ast.parse((engine / "__init__.py").read_text())) or ""
    named = [word for word in re.findall(r"`(\w+)`", page) if word in files]
    assert sorted(named) == sorted(files), "the map in engine/__init__.py names each module once"
    wrong = [
        f"{files[module]}: {module} imports {other}, which the map in engine/__init__.py names later"
        for place, module in enumerate(named)
        for other in _neighbours_imported(files[module], "smartcover.engine")
        if other in named[place:]
    ]
    assert not wrong, "\n".join(wrong)


def _neighbours_imported(path: Path, package: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == package:
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{package}."):
            yield (node.module or "").removeprefix(f"{package}.").partition(".")[0]


def test_modules_stay_small() -> None:
    long = {
        str(path.relative_to(SOURCE)): len(path.read_text().splitlines())
        for _, path in modules()
        if len(path.read_text().splitlines()) > 500
    }
    unexplained = {name: lines for name, lines in long.items() if name not in LONG_MODULES}
    assert not unexplained, f"look for the second idea in {unexplained}, or say in LONG_MODULES why there is none"
    assert not set(LONG_MODULES) - set(long), "LONG_MODULES names modules that are short by now"


def test_each_room_says_what_it_exports_in_sorted_order() -> None:
    def as_ruff_sorts(word: str) -> tuple[int, str]:
        return (0 if word.isupper() else 1 if word[0].isupper() else 2, word)

    rooms = sorted({p.parent for _, p in modules() if p.parent != SOURCE and p.name == "__init__.py"})
    for folder in (SOURCE, *[r for r in rooms if r.parent == SOURCE]):
        name = ".".join(("smartcover", *folder.relative_to(SOURCE).parts))
        exported = importlib.import_module(name).__all__
        assert list(exported) == sorted(exported, key=as_ruff_sorts), f"{name}.__all__ is not sorted"
        for word in exported:
            assert hasattr(importlib.import_module(name), word), f"{name} exports {word}, which it does not have"


def test_type_checkers_of_users_are_told_to_read_the_types() -> None:
    assert (SOURCE / "py.typed").is_file()
