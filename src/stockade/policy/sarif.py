"""Findings in SARIF 2.1.0, which code hosts and editors show beside the lines they are about.

OASIS: Static Analysis Results Interchange Format (SARIF) Version 2.1.0.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

from stockade.policy.findings import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stockade.policy.yamltree import Problem


def sarif(found: Mapping[str, Sequence[Problem]], *, version: str) -> dict[str, Any]:
    """A log with one run; ``found`` has the findings of each file, by its path."""
    rules = sorted({problem.rule for problems in found.values() for problem in problems})
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "Stockade",
                        "semanticVersion": version,
                        "rules": [_rule(name) for name in rules],
                    }
                },
                # Columns are those of YAML's reader.
                "columnKind": "unicodeCodePoints",
                "results": [
                    _result(path, problem, rules.index(problem.rule))
                    for path, problems in found.items()
                    for problem in problems
                ],
            }
        ],
    }


def _rule(name: str) -> dict[str, Any]:
    kind = KINDS[name]
    return {
        "id": name,
        "shortDescription": {"text": kind.title + "."},
        "help": {"text": kind.help},
        "defaultConfiguration": {"level": "error" if kind.error else "warning"},
    }


def _result(path: str, problem: Problem, index: int) -> dict[str, Any]:
    text = problem.message + (f". {problem.hint}" if problem.hint else "")
    return {
        "ruleId": problem.rule,
        "ruleIndex": index,
        "level": "error" if KINDS[problem.rule].error else "warning",
        "message": {"text": text},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(path)},
                    "region": {"startLine": problem.line, "startColumn": problem.column},
                }
            }
        ],
    }


def _uri(path: str) -> str:
    # Relative to wherever the reader's sources are, as code hosts want it (RFC 3986).
    text = "".join(
        chr(byte) if chr(byte) in _UNRESERVED else f"%{byte:02X}"
        for byte in path.removeprefix("./").encode("utf-8", "surrogateescape")
    )
    return f"file://{text}" if text.startswith("/") else text


_UNRESERVED = frozenset(string.ascii_letters + string.digits + "-._~/")
