"""Reads from a provider's answer what a call used."""

from __future__ import annotations

import json
from enum import Enum, auto
from typing import TYPE_CHECKING

from stockade.egress.models.events import data
from stockade.egress.models.operations import Operation
from stockade.model.usage import MAX_TOKENS

if TYPE_CHECKING:
    from pydantic import JsonValue

    from stockade.egress.strictjson import Document

_MAX_NAME = 256
_MAX_KEYS = 64


class Part(Enum):
    """What an event of a stream is."""

    CONTENT = auto()
    USAGE = auto()
    LAST = auto()


class Meter:
    """What the answer to one call has told so far.

    ``usage`` is the provider's own object, reduced to counts that can be believed, or None;
    ``absurd`` tells that it had others. ``served`` is the model that the answer names, ``tier``
    the service tier, both empty if none.
    """

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self.usage: Document | None = None
        self.absurd = False
        self.ended = False
        self.served = ""
        self.tier = ""

    def document(self, body: bytes) -> None:
        """Read an answer that is not a stream."""
        document = _object(body.decode("utf-8", errors="replace"))
        if document is not None:
            self.ended = True
            self._read(document)

    def event(self, event: bytes) -> Part:
        """Read the next event of a stream, and tell what it is."""
        text = data(event)
        if self._operation is Operation.CHAT and text.strip() == "[DONE]":
            self.ended = True
            return Part.LAST
        document = _object(text)
        if document is None:
            return Part.CONTENT
        match self._operation:
            case Operation.CHAT:
                return self._chat(document)
            case Operation.RESPONSES:
                return self._responses(document)
            case _:
                return self._messages(document)

    def _chat(self, document: Document) -> Part:
        self._read(document)
        alone = document.get("choices") == [] and isinstance(document.get("usage"), dict)
        return Part.USAGE if alone else Part.CONTENT

    def _responses(self, document: Document) -> Part:
        response = document.get("response")
        if isinstance(response, dict):
            self._read(response)
        kind = document.get("type")
        if kind in ("response.completed", "response.incomplete", "response.failed", "error"):
            self.ended = True
            return Part.LAST
        return Part.CONTENT

    def _messages(self, document: Document) -> Part:
        message = document.get("message")
        match document.get("type"):
            case "message_start" if isinstance(message, dict):
                self._read(message)
            case "message_delta":
                self._read(document)
            case "message_stop" | "error":
                self.ended = True
                return Part.LAST
        return Part.CONTENT

    def _read(self, document: Document) -> None:
        if served := _name(document.get("model")):
            self.served = served
        usage = document.get("usage")
        if tier := _name(document.get("service_tier")):
            self.tier = tier
        if not isinstance(usage, dict):
            return
        if tier := _name(usage.get("service_tier")):
            self.tier = tier
        try:
            counts = _counts(usage)
        except ValueError:
            self.absurd = True
        else:
            # Anthropic's last counts replace the first, and repeat only what has changed.
            self.usage = {**(self.usage or {}), **counts}


def _name(value: JsonValue) -> str:
    fit = isinstance(value, str) and value.isprintable() and len(value) <= _MAX_NAME
    return value if fit and isinstance(value, str) else ""


def _object(text: str) -> Document | None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _counts(usage: Document, *, nested: bool = False) -> Document:
    """The counts in a provider's object; ValueError if one cannot be true."""
    if len(usage) > _MAX_KEYS:
        raise ValueError("too many")
    counts: Document = {}
    for key, value in usage.items():
        if isinstance(value, bool | float):
            raise ValueError("not a count")  # noqa: TRY004 - as for counts out of bounds
        if isinstance(value, int):
            if not 0 <= value <= MAX_TOKENS:
                raise ValueError("out of bounds")
            counts[key] = value
        elif isinstance(value, dict) and not nested:
            counts[key] = _counts(value, nested=True)
    return counts
