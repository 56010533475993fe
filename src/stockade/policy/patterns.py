"""Whether a pattern of a profile covers another, or shares a text with it.

Each pattern becomes a nondeterministic automaton. One covers another if no text leads the other's
to its end and not its own; both questions are a search through pairs of states (the product
construction; Hopcroft and Ullman, Introduction to Automata Theory, chapter 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MAX_STEPS = 200_000
"""Steps of both to look at; patterns that need more are held to be unrelated."""

_OTHER = "\0"  # no pattern contains it: it stands for all characters that none of them names


@dataclass(frozen=True, slots=True)
class _Token:
    """One step of an automaton: what it takes, and whether it stays."""

    character: str = ""
    slash: bool = False  # without a character: whether it takes '/'
    loops: bool = False
    skip: int = 0  # tokens that may be left out from here on, this one included

    def takes(self, character: str) -> bool:
        if self.character:
            return self.character == character
        return self.slash or character != "/"


_ANY_ONE = _Token()
_ANY_NAME = _Token(loops=True)
_ANYTHING = _Token(loops=True, slash=True)


def _tokens(pattern: str) -> tuple[_Token, ...]:
    """The steps of a pattern, for texts with a slash before them, as ``policy.globs`` has it."""
    tokens: list[_Token] = []
    for segment in pattern.split("/"):
        if segment == "**":
            # Any number of segments, also none: a slash and anything, or neither.
            tokens += [_Token("/", skip=2), _ANYTHING]
        else:
            tokens += [_Token("/"), *map(_token, segment)]
    return tuple(tokens)


def _token(character: str) -> _Token:
    return {"*": _ANY_NAME, "?": _ANY_ONE}.get(character) or _Token(character)


_States = frozenset[tuple[int, int]]


class _Union:
    """The automaton of several patterns at once; a state is a pattern and a place in it."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._tokens = [_tokens(pattern) for pattern in patterns]
        self.start = self._closure((index, 0) for index in range(len(patterns)))

    def alphabet(self) -> set[str]:
        return {token.character for tokens in self._tokens for token in tokens if token.character}

    def accepts(self, states: _States) -> bool:
        return any(place == len(self._tokens[index]) for index, place in states)

    def step(self, states: _States, character: str) -> _States:
        return self._closure(self._moves(states, character))

    def _moves(self, states: _States, character: str) -> Iterator[tuple[int, int]]:
        for index, place in states:
            tokens = self._tokens[index]
            if place < len(tokens) and tokens[place].takes(character):
                yield index, place if tokens[place].loops else place + 1

    def _closure(self, states: Iterable[tuple[int, int]]) -> _States:
        todo, seen = list(states), set[tuple[int, int]]()
        while todo:
            state = index, place = todo.pop()
            if state in seen:
                continue
            seen.add(state)
            if place < len(self._tokens[index]):
                token = self._tokens[index][place]
                if token.skip:
                    todo.append((index, place + token.skip))
                if token.loops:
                    todo.append((index, place + 1))
        return frozenset(seen)


def covers(patterns: Sequence[str], other: str) -> bool:
    """Whether ``patterns`` fit each text that ``other`` fits; false if that is too hard to tell."""
    if other in patterns:
        return True
    if {".", ".."} & set(other.split("/")):
        return False  # no wildcard fits those, which the automata do not know
    left, right = _Union([other]), _Union(patterns)
    try:
        return all(
            right.accepts(theirs) or not left.accepts(mine) for mine, theirs in _pairs(left, right)
        )
    except _TooHardError:
        return False


def overlap(patterns: Sequence[str], others: Sequence[str]) -> bool:
    """Whether there is a text that one of each fits; true if that is too hard to tell."""
    left, right = _Union(patterns), _Union(others)
    try:
        return any(
            left.accepts(mine) and right.accepts(theirs) for mine, theirs in _pairs(left, right)
        )
    except _TooHardError:
        return True


def fits(pattern: str, text: str) -> bool:
    """Whether ``pattern`` fits ``text``."""
    automaton = _Union([pattern])
    states = automaton.start
    for character in "/" + text:
        states = automaton.step(states, character)
    return automaton.accepts(states)


class _TooHardError(Exception):
    """There are too many pairs to look at."""


def _pairs(left: _Union, right: _Union) -> Iterator[tuple[_States, _States]]:
    """All states that both can be in after the same text, as long as the left one is in any."""
    alphabet = sorted(left.alphabet() | right.alphabet() | {"/", _OTHER})
    todo = [(left.start, right.start)]
    seen = set(todo)
    steps = 0
    while todo:
        pair = mine, theirs = todo.pop()
        yield pair
        for character in alphabet:
            steps += 1
            if steps > MAX_STEPS:
                raise _TooHardError
            reached = left.step(mine, character), right.step(theirs, character)
            if reached[0] and reached not in seen:
                seen.add(reached)
                todo.append(reached)
