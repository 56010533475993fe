"""``stockade policy learn``: from what was recorded to the smallest profile that allows it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace

    from stockade.cli.parser import Parser
    from stockade.model.action import Action
    from stockade.model.profile import Profile

_LISTED = 20


def add_arguments(parser: Parser) -> None:
    """Declare the journal, the base, and how far to go beyond what was recorded."""
    parser.add_argument("journal", metavar="JOURNAL", help="Journal of a session.")
    parser.add_argument(
        "-p",
        "--profile",
        metavar="BASE",
        help="Keep image, files, limits, secrets, tool servers, approvals and Cedar files of this"
        " profile, of which a journal says nothing; only the grants are learned.",
    )
    parser.add_argument(
        "--generalize",
        action="append",
        default=[],
        choices=("none", "folder", "host", "arguments"),
        help="Allow more than was recorded. folder: all that lies directly in a folder of which"
        " something was used; host: all paths of a host; arguments: any arguments but paths and"
        " commands. Repeatable (default: none).",
    )
    parser.add_argument(
        "--denied", action="store_true", help="Learn also from what was denied and stopped."
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="Write it there, a new file.")
    parser.epilog = "The exit code is 1 if something that was recorded cannot be allowed."


def run(arguments: Namespace) -> int:
    """Write the profile; say what it leaves out."""
    from stockade.cli.messages import say
    from stockade.cli.profiles import read
    from stockade.model.verdict import Effect
    from stockade.policy.engine import compile_profile
    from stockade.policy.learn import Generalize, learn
    from stockade.policy.writing import write_profile

    parsed = read(Path(arguments.profile)) if arguments.profile is not None else None
    base = parsed.profile if parsed else None
    actions = _recorded(arguments)
    found = learn(actions, base=base, generalize=map(Generalize, arguments.generalize))
    # The last word is the policy's: whatever it does not allow is told, whatever was learned.
    policy = compile_profile(found.profile, cedar=parsed.policies if parsed else None)
    reasons = {action.model_dump_json(): reason for action, reason in found.left_out}
    refused: dict[str, tuple[Action, str]] = {}
    for action in actions:
        verdict = policy.decide(action)
        if verdict.effect is Effect.DENY:
            name = action.model_dump_json()
            refused[name] = (action, reasons.get(name, verdict.reason))
    left_out = list(refused.values())
    comments = _comments(arguments, base, len(actions), left_out)
    _write(write_profile(found.profile, comments=comments, uses=found.uses), arguments.output)
    for action, reason in left_out[:_LISTED]:
        say(f"not allowed: {_text(action)}: {reason}")
    if len(left_out) > _LISTED:
        say(f"not allowed: {len(left_out) - _LISTED} more")
    return 1 if left_out else 0


def _recorded(arguments: Namespace) -> list[Action]:
    """The actions that took effect; with ``--denied``, all."""
    from stockade.audit.journal import read_decisions

    return [
        event.action
        for event in read_decisions(Path(arguments.journal))
        if arguments.denied or event.verdict.allowed or not event.enforced
    ]


def _comments(
    arguments: Namespace, base: Profile | None, count: int, left_out: list[tuple[Action, str]]
) -> list[str]:
    from stockade import __version__

    asked = ", ".join(arguments.generalize) or "none"
    where = Path(arguments.journal).name
    learned = "1 action" if count == 1 else f"{count} actions"
    comments = [
        (f"Learned by Stockade {__version__} from {learned} in {where}; generalized: {asked}.")
    ]
    if base is None:
        comments.append(
            "A journal does not say which image, files, limits, variables and secrets were there:"
            " those are the defaults. Give --profile to keep those of another."
        )
    comments += [f"Not allowed: {_text(action)}: {why}" for action, why in left_out[:_LISTED]]
    return comments


def _text(action: Action) -> str:
    from stockade.policy.actiontext import action_text

    text = action_text(action)
    return text if len(text) <= 200 else text[:200] + "..."


def _write(text: str, path: str | None) -> None:
    from stockade.model.errors import UsageError
    from stockade.model.wording import quote

    if path is None:
        print(text, end="")
        return
    try:
        with Path(path).open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{quote(path)} is there already", hint="Choose a new name.") from None
