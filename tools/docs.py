"""
`make docs`: write the pages of docs/ that are made from code and tables, or with --check tell which are out of step.

docs/settings.md comes from the settings, docs/errors.md from the table of codes, docs/metrics.md from what counts, and
docs/compatibility.md from docs/decisions.toml; docs/schemas/ comes from the models of the callbacks. A test runs the
check.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smartcover.api.routes import ROUTES
from smartcover.protocol import CODES
from smartcover.settings import Settings
from tools.callback_schemas import schemas
from tools.compatibility import matrix
from tools.metrics_page import metrics_page

DOCS = Path(__file__).resolve().parents[1] / "docs"

_MADE = "<!-- Made by `make docs`; change its source, not this page. -->\n\n"


def main() -> None:
    """Write the pages, or with --check only name the stale ones and fail."""
    stale = stale_pages()
    if "--check" in sys.argv[1:]:
        sys.exit(f"out of step, run make docs: {', '.join(stale)}" if stale else 0)
    for name in stale:
        (DOCS / name).parent.mkdir(exist_ok=True)
        (DOCS / name).write_text(pages()[name])
        print(f"wrote docs/{name}")


def stale_pages() -> list[str]:
    """Name the pages whose text is not what their source gives now."""
    return [name for name, text in pages().items() if not (DOCS / name).is_file() or (DOCS / name).read_text() != text]


def pages() -> Mapping[str, str]:
    """Make every generated page: file name to text."""
    return {
        "settings.md": _MADE + settings_page(),
        "errors.md": _MADE + errors_page(),
        "rights.md": _MADE + rights_page(),
        "metrics.md": _MADE + metrics_page(),
        "compatibility.md": _MADE + compatibility_page(),
        **schemas(),
    }


def settings_page() -> str:
    """List every setting from the one place where they are defined."""
    lines = [
        "# Settings\n",
        "Environment variables, read once when a process starts. `smartcover settings` shows the values in force.\n",
        "| setting | default | meaning |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        lines.append(f"| `SMARTCOVER_{name.upper()}` | {_default(field.default)} | {field.description} |")
    return "\n".join(lines) + "\n"


def rights_page() -> str:
    """List every call with the right that it needs."""
    lines = [
        "# Rights\n",
        "What each call needs of a [key pair](teams.md), in the bucket that it is for. A copy needs `read` on its "
        "source, too. Calls of the admin API need `admin`; those below `/admin/v1/keys` need it in every bucket.\n",
        "| call on | with | method | right |",
        "|---|---|---|---|",
    ]
    for (place, sub), methods in ROUTES.items():
        for method, route in methods.items():
            seen = ", and shows the buckets of the key pair" if route.anywhere else ""
            with_ = f"`{sub}`" if sub else ""
            lines.append(f"| {place.value.replace('<', '&lt;')} | {with_} | {method} | `{route.right}`{seen} |")
    return "\n".join(lines) + "\n"


def errors_page() -> str:
    """List every error code of the wire."""
    lines = [
        "# Error codes\n",
        "A refused request is answered with an `Error` document whose `Code` is one of these. A failed job carries "
        "one of those marked *job* in `Code`, with a `Message` to act on.\n",
        "| code | HTTP status | job | meaning |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{entry.code}` | {entry.http_status} | {'job' if entry.for_job else ''} | {entry.meaning} |"
        for entry in CODES.values()
    ]
    return "\n".join(lines) + "\n"


def compatibility_page() -> str:
    """Show which SDK makes which call, and each decision where the cloud's documentation is silent or contradictory."""
    table = tomllib.loads((DOCS / "decisions.toml").read_text())
    lines = [
        "# Compatibility\n",
        "smartcover answers the SmartCover calls of Tencent Cloud CI and the object calls around them.\n",
        "## Calls and SDKs\n",
        "Each cell says what shows that the official SDK and the call go together. *run*: the SDK itself, unmodified, "
        "makes the call in our tests. *replayed*: what the SDK was recorded to send, signed again, is sent by our "
        "tests. *written*: a program for the SDK is in our tests and runs where its toolchain is; it was not run when "
        "this page was made. *inferred*: our tests send what the SDK's source says that it sends. `smartcover "
        "conformance URL` tries most of these calls on any server. A dash: nothing shows it, and "
        "some SDKs lack the call.\n",
        *matrix(),
        "",
        "## Decisions\n",
        "Where the cloud's documentation says nothing, or two things, we decided; each decision is here with its "
        "reason.\n",
        "| topic | what smartcover does | why | setting |",
        "|---|---|---|---|",
    ]
    lines += [_decision(entry) for entry in table["decision"]]
    return "\n".join(lines) + "\n"


def _decision(entry: Mapping[str, Any]) -> str:
    setting = f"`{entry['setting']}`" if entry.get("setting") else ""
    return f"| {entry['topic']} | {_cell(entry['choice'])} | {_cell(entry['reason'])} | {setting} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _default(value: object) -> str:
    if value in (None, (), ""):
        return "unset"
    if isinstance(value, tuple):
        return f"`{','.join(str(item) for item in value)}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"


if __name__ == "__main__":
    main()
