"""``stockade doctor``: which walls can be used here, and what is missing."""

from __future__ import annotations

import dataclasses
import json as jsonlib
from typing import TYPE_CHECKING, Annotated

import anyio
from cyclopts import Parameter

from stockade.cli.progress import Display
from stockade.cli.tables import print_table
from stockade.model.exitcodes import FAILED
from stockade.sandbox.doctor import examine, walls

if TYPE_CHECKING:
    from stockade.sandbox.doctor import Finding, WallFinding


def doctor(*, json: Annotated[bool, Parameter(help="Print one JSON document.")] = False) -> int:
    """Say which walls can be used here, and name what is missing with the command that installs it.

    KVM is proved anew by booting a machine under it. The exit code is 0 if the microvm wall can be
    used, else 125.
    """
    findings = anyio.run(_examine)
    usable = walls(findings)
    if json:
        print(jsonlib.dumps(_describe(findings, usable), indent=2))
    else:
        _show(findings, usable)
    return 0 if any(wall.usable and wall.wall == "microvm" for wall in usable) else FAILED


async def _examine() -> list[Finding]:
    with Display() as display:
        return await examine(display)


def _describe(findings: list[Finding], usable: list[WallFinding]) -> dict[str, object]:
    return {
        "walls": [dataclasses.asdict(wall) for wall in usable],
        "findings": [dataclasses.asdict(finding) for finding in findings],
    }


def _show(findings: list[Finding], usable: list[WallFinding]) -> None:
    print_table(
        ("WALL", "USABLE", "BACKEND", "HOW"),
        [(wall.wall, "yes" if wall.usable else "no", wall.backend, wall.detail) for wall in usable],
    )
    print()
    print_table(
        ("CHECK", "STATUS", "FOUND"),
        [(finding.name, finding.status, finding.detail) for finding in findings],
    )
    repairs = [(finding.name, finding.fix) for finding in findings if finding.fix]
    if repairs:
        print()
        print_table(("REPAIR", "BY"), repairs)
