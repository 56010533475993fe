"""``stockade policy diff``: what another profile would change."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stockade.cli.options import add_json_option

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from stockade.cli.parser import Parser
    from stockade.policy.diff import Change


def add_arguments(parser: Parser) -> None:
    """Declare both profiles, and the actions to try."""
    parser.add_argument("before", metavar="A", help="Profile to compare with.")
    parser.add_argument("after", metavar="B", help="Profile that would take its place.")
    parser.add_argument(
        "--journal",
        metavar="FILE",
        help="Try the actions of this journal (default: some at the edges of every rule).",
    )
    add_json_option(parser)
    parser.epilog = "The exit code is 0 if no action that was tried changes its verdict, 1 if any."


def run(arguments: Namespace) -> int:
    """Show the actions that change their verdict."""
    from stockade.audit.journal import read_decisions
    from stockade.cli.messages import say
    from stockade.cli.profiles import compiled, read
    from stockade.policy.diff import diff
    from stockade.policy.space import actions_of

    before, after = read(Path(arguments.before)), read(Path(arguments.after))
    if arguments.journal is None:
        actions = actions_of(before.profile, after.profile)
    else:
        actions = [event.action for event in read_decisions(Path(arguments.journal))]
    changes = list(diff(compiled(before), compiled(after), actions))
    if arguments.json:
        _print_json(changes, tried=len(actions))
        return 1 if changes else 0
    if changes:
        _print(changes)
    wider = sum(change.wider for change in changes)
    tried = "1 action" if len(actions) == 1 else f"{len(actions)} actions"
    say(f"{tried} tried: {wider} wider, {len(changes) - wider} narrower in B")
    return 1 if changes else 0


def _print(changes: Sequence[Change]) -> None:
    from stockade.cli.tables import print_table
    from stockade.policy.actiontext import action_text

    rows = [
        (
            "+" if change.wider else "-",
            change.before.effect.value,
            change.after.effect.value,
            (change.before if change.wider is False else change.after).rule,
            _short(action_text(change.action)),
        )
        for change in changes
    ]
    print_table(("", "A", "B", "RULE", "ACTION"), rows)


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "..."


def _print_json(changes: Sequence[Change], *, tried: int) -> None:
    import json

    document = {
        "tried": tried,
        "changes": [
            {
                "action": change.action.model_dump(mode="json"),
                "before": change.before.model_dump(mode="json"),
                "after": change.after.model_dump(mode="json"),
                "wider": change.wider,
            }
            for change in changes
        ],
    }
    print(json.dumps(document, indent=2))
