"""Documentation in step with the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from smartcover.api.ci_words import RESERVED_WORDS
from smartcover.receiver import testing
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


@pytest.mark.parametrize("page", ["sdks.md", "compatibility.md"])
def test_every_reserved_word_is_documented(page: str) -> None:
    words = set(re.findall(r"\w+", (ROOT / "docs" / page).read_text()))
    assert {word.decode() for word in RESERVED_WORDS} <= words


def test_links_between_pages_lead_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert not broken, broken


@pytest.mark.parametrize("page", ["README.md", "docs/receiving.md"])
def test_what_pages_show_of_the_receiver_runs(page: str) -> None:
    sample = testing.task_finish()
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    shown = [block for block in blocks if "smartcover.receiver" in block]
    assert shown
    for block in shown:
        names = {"body": sample.body, "content_type": sample.headers["content-type"]}
        exec(block.replace("whsec_…", "whsec_c2VjcmV0IG9mIGFuIGV4YW1wbGU="), names)
