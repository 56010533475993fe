"""The kinds of things that can be said against a profile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: an error, with which nothing runs, or else a warning; a title, and what to do."""

    error: bool
    title: str
    help: str


KINDS: Final = {
    "yaml": Kind(True, "The file cannot be read", "Correct the YAML; put text in quotes."),
    "unknown-key": Kind(True, "A key that does not exist", "Use the nearest valid key."),
    "missing-key": Kind(True, "A key that is missing", "Add it."),
    "bad-value": Kind(True, "A value that is not possible", "Write one of the form that is named."),
    "conflict": Kind(True, "Values that cannot hold together", "Change one of the two places."),
    "file": Kind(True, "A file that the profile names cannot be read", "Correct its path."),
    "extends": Kind(True, "The chain of profiles makes no sense", "Let it end in one that stands."),
    "widened": Kind(
        True,
        "A profile allows more than the one it extends",
        "Allow no more than that, or say 'widen: true'.",
    ),
    "policy": Kind(True, "The rules cannot be compiled", "Correct the Cedar file or the value."),
    "unreachable-grant": Kind(
        False,
        "A grant never decides, for an earlier one covers it",
        "Remove it, or narrow the earlier one.",
    ),
    "overlapping-grants": Kind(
        False,
        "Two grants allow some of the same",
        "Separate their paths or methods, so that each request has one grant and one credential.",
    ),
    "any-host": Kind(False, "A host that stands for nearly all", "Name the hosts that are needed."),
    "wide-credential": Kind(
        False,
        "A credential goes to more than one host",
        "Name the one host that the secret is for.",
    ),
    "plain-credential": Kind(
        False, "A credential goes over plain HTTP", "Use https: anyone on the way can read it."
    ),
    "unneeded-write": Kind(
        False,
        "Write access where nothing can be written or kept",
        "Write below an overlay, /tmp or the home folder, or grant the folder as overlay.",
    ),
    "nothing-there": Kind(
        False,
        "Paths that no file grant and no image provides",
        "Grant the folder under 'files', or correct the path.",
    ),
    "any-command": Kind(
        False,
        "A command that can run any other",
        "List the commands themselves; an interpreter with free arguments is a shell.",
    ),
    "idle-approval": Kind(
        False, "An approval that nothing allowed ever needs", "Remove it, or allow what it is for."
    ),
    "literal-brackets": Kind(
        False,
        "Brackets in a glob stand for themselves",
        "Write one glob for each alternative; only '*', '?' and '**' are wildcards.",
    ),
    "secret-in-environment": Kind(
        False,
        "A variable whose name is that of a secret",
        "Keep it under 'credentials': what is in the environment, the agent can read.",
    ),
}
