"""
The matrix of docs/compatibility.md: every call, every SDK, and what shows that they go together.

Nothing in it is typed: it is read from the `call` marks of the tests, which are parsed and never run.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).resolve().parents[1] / "tests"

#: Every call, in the order of the page.
CALLS: Final = (
    "POST /jobs",
    "GET /jobs/<ids>",
    "GET /jobs",
    "PUT /jobs/<id>?cancel",
    "POST /template",
    "PUT /template/<id>",
    "GET /template",
    "DELETE /template/<id>",
    "GET /queue",
    "PUT /queue/<id>",
    "POST /mediabucket",
    "GET /mediabucket",
    "DELETE /mediabucket",
    "POST /workflow",
    "PUT /workflow/<id>",
    "PUT /workflow/<id>?active|paused",
    "GET /workflow",
    "DELETE /workflow/<id>",
    "POST /triggerworkflow",
    "GET /workflowexecution",
    "GET /workflowexecution/<id>",
    "POST /inventorytriggerjob",
    "GET /inventorytriggerjob/<id>",
    "GET /inventorytriggerjob",
    "PUT /inventorytriggerjob/<id>?cancel",
    "GET / (buckets)",
    "PUT /",
    "HEAD /",
    "DELETE /",
    "GET /",
    "POST /?delete",
    "GET /?uploads",
    "PUT /<key>",
    "PUT /<key> (copy)",
    "GET /<key>",
    "GET /<key> presigned",
    "HEAD /<key>",
    "DELETE /<key>",
    "POST /<key>?uploads",
    "PUT /<key>?partNumber&uploadId",
    "PUT /<key>?partNumber&uploadId (copy)",
    "GET /<key>?uploadId",
    "POST /<key>?uploadId",
    "DELETE /<key>?uploadId",
)

#: SDK of a mark to the heading of its column.
SDKS: Final[Mapping[str, str]] = {
    "python": "Python",
    "node": "Node",
    "go": "Go",
    "java": "Java",
}

#: Evidence of a mark to the word in the table, strongest first.
EVIDENCE: Final[Mapping[str, str]] = {
    "run": "run",
    "replayed": "replayed",
    "written": "written",
    "inferred": "inferred",
}


@dataclass(frozen=True, slots=True)
class Claim:
    """One `call` mark: the test that bears it, the SDK, the kind of evidence and the calls."""

    where: str
    sdk: str
    evidence: str
    calls: tuple[str, ...]


def claims() -> list[Claim]:
    """
    Read the marks of all tests.

    Raises:
        ValueError: If a mark names a call, an SDK or a kind of evidence that the table does not know.
    """
    found = [claim for path in sorted(TESTS.rglob("test_*.py")) for claim in _claims_of(path)]
    for claim in found:
        wrong = [call for call in claim.calls if call not in CALLS]
        if wrong or claim.sdk not in SDKS or claim.evidence not in EVIDENCE:
            raise ValueError(f"{claim.where}: {wrong or claim.sdk} ({claim.evidence}) is not in tools/compatibility.py")
    return found


def matrix() -> list[str]:
    """Write the table, a line each."""
    cells: dict[tuple[str, str], set[str]] = defaultdict(set)
    for claim in claims():
        for call in claim.calls:
            cells[call, claim.sdk].add(claim.evidence)
    lines = [f"| call | {' | '.join(SDKS.values())} |", "|---" * (len(SDKS) + 1) + "|"]
    for call in CALLS:
        shown = [", ".join(word for kind, word in EVIDENCE.items() if kind in cells[call, sdk]) or "–" for sdk in SDKS]
        lines.append(f"| `{call.replace('|', chr(92) + '|')}` | {' | '.join(shown)} |")
    return lines


def _claims_of(path: Path) -> Iterator[Claim]:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        for mark in node.decorator_list:
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.call":
                named = {word.arg: ast.literal_eval(word.value) for word in mark.keywords}
                calls = tuple(ast.literal_eval(call) for call in mark.args)
                where = f"{path.relative_to(TESTS.parent)}:{mark.lineno}"
                yield Claim(where, named["sdk"], named.get("evidence", "run"), calls)
