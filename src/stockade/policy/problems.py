"""What pydantic finds wrong with a profile, in words and with the line where it stands."""

from __future__ import annotations

from functools import lru_cache
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from stockade.model.document import ProfileDocument
from stockade.model.wording import did_you_mean, explain, place, quote
from stockade.policy.yamltree import MAX_PROBLEMS, Place, Problem, Tree

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from stockade.model.conflicts import Conflict


def problems_of(error: ValidationError, tree: Tree) -> list[Problem]:
    """Everything that ``error`` says of the document that ``tree`` is read from."""
    found = []
    details = error.errors(include_url=False)
    places = {detail["loc"][:-1] for detail in details}
    for detail in details:
        context = detail.get("ctx", {})
        if "conflicts" in context:
            found += [_conflict(conflict, tree) for conflict in context["conflicts"]]
            continue
        index = context.get("index")
        path: Place = detail["loc"] if index is None else (*detail["loc"], index)
        # What could not be read has its own problem already; that it is then missing is no news.
        if any(path[: len(broken)] == broken for broken in tree.broken):
            continue
        if detail["type"] == "too_short" and path in places:
            continue  # only because an entry is wrong, which is told
        found.append(_problem(path, detail, tree))
        if len(found) >= MAX_PROBLEMS:
            break
    return found[:MAX_PROBLEMS]


def as_written(path: Place, tree: Tree) -> Place:
    """The place in the text of what stands at ``path`` of the profile, which sorts its files."""
    if len(path) < 2 or path[0] != "files" or not isinstance(path[1], int):
        return path
    data = tree.data
    entries = data.get("files") if isinstance(data, dict) else None
    guests = [str(entry.get("guest")).split("/") for entry in entries or ()]
    clean = [[part for part in guest if part not in ("", ".")] for guest in guests]
    order = sorted(range(len(clean)), key=clean.__getitem__)
    return ("files", order[path[1]], *path[2:]) if path[1] < len(order) else path


def _conflict(conflict: Conflict, tree: Tree) -> Problem:
    path = conflict.path
    # In a profile that extends another, what is inherited stands in no line of this file.
    inherited = bool(tree.keys) and path[:1] not in tree.keys
    position = tree.position(("extends",) if inherited else path)
    if path in tree.keys and path[-1] not in ("credential", "action"):
        position = tree.keys[path]  # what is wrong is that it is there, rather than its value
    return Problem(*position, str(conflict), conflict.hint, "conflict")


def _problem(path: Place, detail: ErrorDetails, tree: Tree) -> Problem:
    if detail["type"] == "extra_forbidden":
        position = tree.keys.get(path, tree.position(path))
        return Problem(*position, _unknown_key(path), "", "unknown-key")
    if detail["type"] == "missing":
        owner = place(path[:-1]) or "profile"
        message = f"key {quote(path[-1])} is missing in {owner}"
        return Problem(*tree.position(path), message, "", "missing-key")
    if path[-1:] == ("[key]",):
        position = tree.keys.get(path[:-1], tree.position(path))
        message = f"name in {place(path[:-2])}: {explain(detail)}"
        return Problem(*position, message, "", "bad-value")
    message = f"{place(path) or 'profile'}: {explain(detail)}"
    return Problem(*tree.position(path), message, "", "bad-value")


def _unknown_key(path: Place) -> str:
    key = str(path[-1])
    owner = place(path[:-1]) or "profile"
    return f"unknown key {quote(key)} in {owner}{did_you_mean(key, _keys(path[:-1]))}"


@lru_cache(maxsize=64)
def _keys(path: Place) -> tuple[str, ...]:
    """The keys that may stand at a place of a profile, as they are written."""
    model: Any = ProfileDocument
    for step in path:
        model = _inner(model, step)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return ()
    return tuple(field.alias or name for name, field in model.model_fields.items())


def _inner(kind: Any, step: int | str) -> Any:
    """The type of what a value of the type ``kind`` has at ``step``; None if it has nothing."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(step))
        return _bare(field.annotation) if field else None
    arguments = get_args(kind)
    if not arguments:
        return None
    return _bare(arguments[0] if get_origin(kind) is tuple else arguments[-1])


def _bare(kind: Any) -> Any:
    """A type without its constraints and without None."""
    origin = get_origin(kind)
    if origin is Annotated:
        return _bare(get_args(kind)[0])
    if origin in (Union, UnionType):
        return _bare(next(one for one in get_args(kind) if one is not type(None)))
    return kind


def place_of(rule: str) -> Place:
    """The place that a rule of the policy is called after: ``network[0]``, ``tools.read_file``."""
    if rule.startswith("mcp."):
        _, server, tools, tool = [*rule.split(".", 3), "", ""][:4]
        return ("mcp", server, tools, tool)
    section, bracket, index = rule.partition("[")
    if bracket:
        return (section, int(index[:-1]))
    return tuple(section.split(".", 1))
