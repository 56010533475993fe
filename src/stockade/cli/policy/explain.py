"""``stockade policy explain``: what a profile makes of one action, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stockade.cli.options import add_json_option
from stockade.model.exitcodes import REFUSED

if TYPE_CHECKING:
    from argparse import Namespace

    from stockade.cli.parser import Parser
    from stockade.model.action import Action
    from stockade.policy.document import Parsed
    from stockade.policy.explanation import Explanation


def add_arguments(parser: Parser) -> None:
    """Declare the profile and the action."""
    from stockade.policy.actiontext import FORMS

    parser.add_argument("-p", "--profile", metavar="FILE", required=True, help="Profile to ask.")
    parser.add_argument(
        "action", metavar="ACTION", help="Such as 'http:GET https://api.github.com/', or JSON."
    )
    add_json_option(parser)
    parser.epilog = (
        f"Actions: {'; '.join(FORMS.values())}. The exit code is 0 if it is allowed, and 126 if it"
        " is denied or a person would have to be asked."
    )


def run(arguments: Namespace) -> int:
    """Decide, say why, and exit as if it had been asked for."""
    from stockade.cli.profiles import compiled, read
    from stockade.policy.actiontext import parse_action

    action = parse_action(arguments.action)
    parsed = read(Path(arguments.profile))
    explanation = compiled(parsed).explain(action)
    if arguments.json:
        _print_json(action, explanation)
    else:
        _print(action, explanation, parsed)
    return 0 if explanation.verdict.allowed else REFUSED


def _print(action: Action, explanation: Explanation, parsed: Parsed) -> None:
    from stockade.cli.messages import printable
    from stockade.policy.actiontext import action_text

    verdict = explanation.verdict
    rows = [
        (verdict.effect.value, action_text(action)),
        ("rule", _where(verdict.rule, parsed)),
        ("reason", verdict.reason),
        ("hint", verdict.hint),
        *(("granted by", _where(rule, parsed)) for rule in explanation.granted),
        *(("asked for by", _where(rule, parsed)) for rule in explanation.asked),
        *(("forbidden by", _where(rule, parsed)) for rule in explanation.forbade),
    ]
    for near in explanation.nearest:
        rows.append(("nearest", f"{_where(near.rule, parsed)} allows {near.allows or 'nothing'}"))
        rows += [("", f"but {lack}") for lack in near.lacks]
    for label, text in rows:
        if text:
            print(printable(f"{label:<14}{text}"))


def _where(rule: str, parsed: Parsed) -> str:
    """A rule with the line where it stands, if that is in the profile's own file."""
    from stockade.policy.problems import place_of

    path = place_of(rule)
    if path[:1] in parsed.tree.keys:
        return f"{rule} ({parsed.source}:{parsed.tree.position(path)[0]})"
    return rule


def _print_json(action: Action, explanation: Explanation) -> None:
    import json
    from dataclasses import asdict

    document = asdict(explanation)
    document["verdict"] = explanation.verdict.model_dump(mode="json")
    print(json.dumps({"action": action.model_dump(mode="json"), **document}, indent=2))
