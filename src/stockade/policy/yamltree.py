"""The part of YAML that profiles need, with the place of every value.

YAML has more than one reading of a plain `no`, `010` or `10:30`, can make a small text into a huge
value, and can name types to build. Here whatever has two readings must be put in quotes, and
anchors, aliases, tags and further documents are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Protocol, cast

import yaml

from stockade.model.wording import quote

MAX_DEPTH = 8
MAX_PROBLEMS = 50

Place = tuple[int | str, ...]
Position = tuple[int, int]

# The spellings that every version of YAML reads alike.
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,14})\.[0-9]{1,9}")
_READINGS = {
    "bool": "true or false",
    "timestamp": "a date",
    "int": "another number",
    "float": "another number",
}
_TRUTH = {"true": True, "false": False}


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong with a document, in one line; lines and columns count from 1.

    ``rule`` is the kind of problem, one of ``policy.lint.RULES``.
    """

    line: int
    column: int
    message: str
    hint: str = ""
    rule: str = "yaml"


@dataclass(slots=True)
class Tree:
    """A document as plain values, where they stand, and what is wrong with it."""

    data: object = None
    """None as well when not all of it could be read."""
    values: dict[Place, Position] = field(default_factory=dict)
    keys: dict[Place, Position] = field(default_factory=dict)
    broken: set[Place] = field(default_factory=set)
    """Values that could not be read; `data` has None there, and `problems` says why."""
    problems: list[Problem] = field(default_factory=list)

    def position(self, path: Place) -> Position:
        """Give the place of the nearest value that holds ``path``."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, (1, 1))


class _Mark(Protocol):
    """A place as PyYAML's two scanners both give it, counted from 0."""

    line: int
    column: int


class _Stop(Exception):  # noqa: N818 - control flow: the problem is already noted
    """Nothing after this place can be read with sense."""


def read_tree(text: str) -> Tree:
    """Read a YAML document; total: whatever is wrong is among the tree's problems."""
    tree = Tree()
    try:
        loader = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as error:
        line, column = position_of(text, error.position)
        message = f"character U+{error.character:04X} is not allowed"
        tree.problems.append(Problem(line, column, message))
        return tree
    reader = _Reader(loader, tree)
    try:
        tree.data = reader.document()
    except _Stop:
        pass
    except yaml.MarkedYAMLError as error:
        position = _position(error.problem_mark or error.context_mark)
        words = _one_line(error.problem or error.context or "it cannot be read")
        tree.problems.append(Problem(*position, f"not valid YAML: {words}"))
    except (ValueError, OverflowError):
        # PyYAML turns escapes and directives into numbers without asking how large they are.
        position = _position(loader.get_mark())
        tree.problems.append(Problem(*position, "not valid YAML: a number in it is out of range"))
    return tree


def position_of(text: str, index: int) -> Position:
    """Give the line and column of a character."""
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)


def _position(mark: _Mark | None) -> Position:
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _one_line(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 120 else words[:120] + "..."


class _Reader:
    """Builds a tree from PyYAML's events, which come before anything is resolved or built."""

    def __init__(self, loader: yaml.SafeLoader, tree: Tree) -> None:
        self._loader = loader
        self._tree = tree

    def document(self) -> object:
        self._next()  # the start of the stream
        if isinstance(self._next(), yaml.StreamEndEvent):  # or the start of the document
            return None
        data = self._value((), self._next())
        self._next()  # the end of the document
        event = self._next()
        if not isinstance(event, yaml.StreamEndEvent):
            self._note(event, "a second document begins here; a profile is one document")
        return data

    def _next(self) -> yaml.Event:
        return cast("yaml.Event", self._loader.get_event())  # type: ignore[no-untyped-call]

    def _note(self, event: yaml.Event, message: str) -> None:
        self._tree.problems.append(Problem(*_position(event.start_mark), message))
        if len(self._tree.problems) >= MAX_PROBLEMS:
            raise _Stop

    def _value(self, path: Place, event: yaml.Event) -> object:
        self._tree.values[path] = _position(event.start_mark)
        self._refuse_references(path, event)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(path, event)
        if isinstance(event, yaml.CollectionStartEvent) and len(path) >= MAX_DEPTH:
            self._note(event, f"nested more than {MAX_DEPTH} levels deep")
            raise _Stop
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        return None  # an alias, and noted

    def _refuse_references(self, path: Place, event: yaml.Event) -> None:
        anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
        if isinstance(event, yaml.AliasEvent):
            what = f"alias {quote(f'*{anchor}')}"
        elif anchor is not None:
            what = f"anchor {quote(f'&{anchor}')}"
        elif tag is not None:
            what = f"tag {quote(tag)}"
        else:
            return
        self._tree.broken.add(path)
        self._note(event, f"{what} is not accepted in a profile; write the value itself")

    def _sequence(self, path: Place) -> list[object]:
        values: list[object] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            values.append(self._value((*path, len(values)), event))
        return values

    def _mapping(self, path: Place) -> dict[str, object]:
        values: dict[str, object] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._key(path, event)
            inner = (*path, key)
            if key in values:
                first = self._tree.keys[inner][0]
                self._note(event, f"key {quote(key)} is given twice, first on line {first}")
                # Read for its own problems, at a place that no path of a profile leads to.
                self._value((*path, -1), self._next())
                continue
            self._tree.keys[inner] = _position(event.start_mark)
            values[key] = self._value(inner, self._next())
        return values

    def _key(self, path: Place, event: yaml.Event) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            self._note(event, "a key must be text")
            raise _Stop
        noted = len(self._tree.problems)
        key = self._value((*path, -1), event)
        if not isinstance(key, str):
            self._tree.broken.add((*path, event.value))
            if noted == len(self._tree.problems):
                self._note(event, f"key {quote(key)} must be text; put it in quotes")
        return event.value

    def _scalar(self, path: Place, event: yaml.ScalarEvent) -> object:
        text = event.value
        plain = event.implicit[0]  # rather than in quotes or a block
        tag = "str"
        if plain:
            tag = self._loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
            tag = tag.rpartition(":")[2]
        if tag in {"str", "null"}:
            return text if tag == "str" else None
        if tag == "bool" and text in _TRUTH:
            return _TRUTH[text]
        if tag == "int" and _INTEGER.fullmatch(text):
            return int(text)
        if tag == "float" and _DECIMAL.fullmatch(text):
            return float(text)
        self._tree.broken.add(path)
        reading = _READINGS.get(tag, "more than text")
        self._note(
            event,
            f"{quote(text)} means {reading} to some readers of YAML; write it in quotes if it is "
            "text, or otherwise in full",
        )
        return None
