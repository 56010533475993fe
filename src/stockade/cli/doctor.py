"""``stockade doctor``: which walls can be used here, and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.cli.options import add_json_option
from stockade.model.exitcodes import FAILED

if TYPE_CHECKING:
    from argparse import Namespace

    from stockade.cli.parser import Parser
    from stockade.sandbox.doctor import Finding, WallFinding


def add_arguments(parser: Parser) -> None:
    """Declare how to print what was found."""
    add_json_option(parser)
    parser.epilog = (
        "What is missing is named with the command that installs it. KVM is proved anew by booting"
        " a machine under it. The exit code is 0 if the microvm wall can be used, else 125."
    )


def run(arguments: Namespace) -> int:
    """Say which walls can be used here, and name what is missing."""
    import anyio

    from stockade.sandbox.doctor import walls

    findings = anyio.run(_examine)
    usable = walls(findings)
    if arguments.json:
        _print_json(findings, usable)
    else:
        _show(findings, usable)
    return 0 if any(wall.usable and wall.wall == "microvm" for wall in usable) else FAILED


async def _examine() -> list[Finding]:
    from stockade.cli.progress import Display
    from stockade.sandbox.doctor import examine

    with Display() as display:
        return await examine(display)


def _print_json(findings: list[Finding], usable: list[WallFinding]) -> None:
    import json
    from dataclasses import asdict

    document = {
        "walls": [asdict(wall) for wall in usable],
        "findings": [asdict(finding) for finding in findings],
    }
    print(json.dumps(document, indent=2))


def _show(findings: list[Finding], usable: list[WallFinding]) -> None:
    from stockade.cli.tables import print_table

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
