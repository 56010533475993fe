"""Profiles as people write them: YAML in, a profile or every problem with its line out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from stockade.model.errors import ProfileError
from stockade.model.limits import Limits
from stockade.model.profile import FileGrant, PoolSize, Profile, Wall
from stockade.model.quantities import KIB, format_size
from stockade.model.wording import did_you_mean, explain, place, quote
from stockade.policy.yamltree import MAX_PROBLEMS, Place, Problem, Tree, position_of, read_tree

if TYPE_CHECKING:
    from pathlib import PurePath

    from pydantic_core import ErrorDetails

MAX_BYTES = 256 * KIB

# Sections of the design that nothing enforces yet. To accept one would promise what nobody keeps.
NOT_YET_ENFORCED = frozenset({"network", "credentials", "models", "budget", "tools", "approvals"})

_MODELS: dict[int | str, type[BaseModel]] = {
    "wall": Wall,
    "limits": Limits,
    "pool": PoolSize,
    "files": FileGrant,
}


class ProfileDocumentError(ProfileError):
    """A profile's text is wrong; the message is the first problem and the hint names the others."""

    def __init__(self, source: str, problems: tuple[Problem, ...]) -> None:
        first, *others = problems
        hint = first.hint
        if others:
            rest = "; ".join(f"line {other.line}: {other.message}" for other in others)
            hint = f"{hint} Fix as well: {rest}".strip()
        super().__init__(f"{source}:{first.line}: {first.message}", hint=hint)
        self.source = source
        self.problems = problems

    def lines(self) -> list[str]:
        """Give every problem as ``file:line:column: message``, the form that editors follow."""
        return [f"{self.source}:{p.line}:{p.column}: {p.message}" for p in self.problems]


def parse_profile(text: str | bytes, *, source: str, base: PurePath) -> Profile:
    """Read a profile.

    ``source`` is what errors call it. Relative host paths are taken from ``base``, the folder of
    the profile; nothing is looked up, so they need not exist.
    """
    if not source.isprintable():
        source = quote(source)
    tree = _read(text)
    profile: Profile | None = None
    if tree.data is not None:
        try:
            profile = Profile.model_validate(tree.data, context={"base": base})
        except ValidationError as error:
            tree.problems.extend(_problems(error, tree))
    elif not tree.problems:
        # An empty file is more likely an accident than a wish for all the defaults.
        tree.problems.append(Problem(1, 1, "the profile is empty", "Write at least 'version: 1'"))
    if profile is None or tree.problems:
        problems = tuple(sorted(set(tree.problems)))[:MAX_PROBLEMS]
        raise ProfileDocumentError(source, problems)
    return profile


def _read(text: str | bytes) -> Tree:
    # Before decoding: the bound is there to spare the work.
    if len(text) > MAX_BYTES or (
        isinstance(text, str) and len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES
    ):
        return Tree(problems=[Problem(1, 1, f"larger than {format_size(MAX_BYTES)}")])
    if isinstance(text, str):
        return read_tree(text)
    try:
        return read_tree(text.decode("utf-8"))
    except UnicodeDecodeError as error:
        before = text[: error.start].decode("utf-8")
        line, column = position_of(before, len(before))
        return Tree(problems=[Problem(line, column, "not UTF-8 text")])


def _problems(error: ValidationError, tree: Tree) -> list[Problem]:
    found = []
    for detail in error.errors(include_url=False):
        index = detail.get("ctx", {}).get("index")
        path: Place = detail["loc"] if index is None else (*detail["loc"], index)
        # What could not be read has its own problem already; that it is then missing is no news.
        if any(path[: len(broken)] == broken for broken in tree.broken):
            continue
        found.append((path, detail))
        if len(found) >= MAX_PROBLEMS:
            break
    return [_problem(path, detail, tree) for path, detail in found]


def _problem(path: Place, detail: ErrorDetails, tree: Tree) -> Problem:
    if detail["type"] == "extra_forbidden":
        return Problem(*tree.keys.get(path, tree.position(path)), *_unknown_key(path))
    if detail["type"] == "missing":
        owner = place(path[:-1]) or "profile"
        return Problem(*tree.position(path), f"key {quote(path[-1])} is missing in {owner}")
    if path[-1:] == ("[key]",):
        position = tree.keys.get(path[:-1], tree.position(path))
        return Problem(*position, f"name in {place(path[:-2])}: {explain(detail)}")
    return Problem(*tree.position(path), f"{place(path) or 'profile'}: {explain(detail)}")


def _unknown_key(path: Place) -> tuple[str, str]:
    key = str(path[-1])
    if len(path) == 1 and key in NOT_YET_ENFORCED:
        return (
            f"{quote(key)} is not enforced by this version of Stockade, so a profile cannot use it",
            "Remove it; in this version no network, model or tool is within reach.",
        )
    model = Profile if len(path) == 1 else _MODELS[path[0]]
    owner = place(path[:-1]) or "profile"
    return f"unknown key {quote(key)} in {owner}{did_you_mean(key, model.model_fields)}", ""
