"""Documentation in step with the code."""

from __future__ import annotations

from pathlib import Path

from tools.docs import stale_pages

ROOT = Path(__file__).resolve().parents[2]


def test_generated_pages_are_in_step_with_their_sources() -> None:
    assert stale_pages() == [], "run make docs and commit what it wrote"


def test_the_readme_names_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme


def test_every_command_is_described_in_the_reference() -> None:
    from smartcover.cli import COMMANDS

    reference = (ROOT / "docs" / "commands.md").read_text()
    missing = [name for name, _, _ in COMMANDS if f"smartcover {name}" not in reference]
    assert not missing, f"docs/commands.md does not describe {missing}"


def test_links_between_pages_lead_somewhere() -> None:
    import re

    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert not broken, broken
