"""Reads JSON that two programs cannot understand in two ways (RFC 8259, section 4)."""

from __future__ import annotations

import json
from typing import NoReturn

from pydantic import JsonValue

Document = dict[str, JsonValue]


class MalformedError(ValueError):
    """The text is not one unambiguous JSON object; says why, without quoting it."""


def _unique(pairs: list[tuple[str, JsonValue]]) -> Document:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise MalformedError("a name occurs twice in one object")
    return document


def _refuse(_: str) -> NoReturn:
    raise MalformedError("NaN and Infinity are not JSON")


def parse_object(text: bytes) -> Document:
    """Read one object in UTF-8; MalformedError if it is not one, or has a name twice."""
    reason = "it is not JSON in UTF-8"
    try:
        document = json.loads(
            text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse
        )
    except MalformedError:
        raise
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError:
        # The library's message may quote the text.
        pass
    else:
        if isinstance(document, dict):
            return document
        reason = "it is not an object"
    raise MalformedError(reason)
