"""``stockade selftest egress``: whether the egress wall holds here against all attempts we know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.cli.options import add_json_option
from stockade.model.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from stockade.cli.parser import Parser
    from stockade.selftest.egress import Report


def add_arguments(parser: Parser) -> None:
    """Declare which attempts, and how to print what came of them."""
    parser.add_argument(
        "--only",
        action="append",
        metavar="CATEGORY",
        help="Make the attempts of this category alone. Repeatable.",
    )
    parser.add_argument(
        "--widened",
        action="store_true",
        help="Grant what some attempts try to reach: the self-test must fail then.",
    )
    add_json_option(parser)
    parser.epilog = (
        "One machine makes all attempts, in a network namespace that leads nowhere. Takes root. The"
        " exit code is 0 if nothing got through and what is granted arrived, else 1."
    )


def run(arguments: Namespace) -> int:
    """Make the attempts and show what came of them."""
    from stockade.selftest import egress
    from stockade.selftest.corpus import CATEGORIES

    for name in arguments.only or ():
        if name not in CATEGORIES:
            from stockade.model.wording import did_you_mean, quote

            raise UsageError(
                f"there is no category {quote(name)}{did_you_mean(name, CATEGORIES)}",
                hint=f"Choose of {', '.join(CATEGORIES)}.",
            )
    egress.check_host()
    _build()
    report = egress.run(arguments.only or (), widened=arguments.widened)
    if arguments.json:
        _print_json(report)
    else:
        _show(report)
    return 0 if report.contained else 1


def _build() -> None:
    """Have the images here before the network is gone."""
    import anyio

    from stockade.cli.progress import Display
    from stockade.sandbox.images.prepare import prepare, prepare_runtime

    async def build() -> None:
        with Display() as display:
            await prepare_runtime(display)
            await prepare("debian-python", display)

    anyio.run(build)


def _print_json(report: Report) -> None:
    import json
    from dataclasses import asdict

    print(json.dumps({"contained": report.contained, **asdict(report)}, indent=2))


def _show(report: Report) -> None:
    from stockade.cli.tables import print_table

    categories = dict.fromkeys(result.category for result in report.results)
    rows = []
    for category in categories:
        own = [result for result in report.results if result.category == category]
        through = sum(bool(result.got_through) for result in own)
        rows.append((category, str(len(own)), str(len(own) - through), str(through or "")))
    print_table(("CATEGORY", "ATTEMPTS", "CONTAINED", "GOT THROUGH"), rows)
    faults = [
        *(
            (f"{result.category}: {result.name}", what)
            for result in report.results
            for what in dict.fromkeys(result.got_through)
        ),
        *(("not accounted for", what) for what in dict.fromkeys(report.unaccounted)),
        *((name, "the machine told nothing of it") for name in report.missing),
        *((name, "has to work, and did not") for name, ok in report.controls.items() if not ok),
    ]
    if faults:
        print()
        print_table(("ATTEMPT", "WHAT CAME OF IT"), faults)
    print()
    through = sum(bool(result.got_through) for result in report.results)
    worked = f"{sum(report.controls.values())} of {len(report.controls)} controls worked"
    print(
        f"{len(report.results)} attempts, {through} got through; {worked}; {report.seconds:.0f} s."
    )
