"""Reads which model a request asks for, and makes its answer tell what was used."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from stockade.egress.courier.fields import Fields, media_type, values
from stockade.egress.courier.placeholders import JSON
from stockade.egress.courier.problems import Undeliverable
from stockade.egress.models.operations import Operation
from stockade.egress.strictjson import MalformedError, parse_object
from stockade.model.action import MAX_NAME

if TYPE_CHECKING:
    from stockade.egress.strictjson import Document

MAX_BODY = 32 * 1024 * 1024
"""Bytes of a request; Anthropic takes no more either."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A request: its model, its body as it goes out, and whether ``usage`` was added for us."""

    model: str
    stream: bool
    body: bytes
    hide_usage: bool = False


def read_request(operation: Operation, fields: Fields, body: bytes) -> ModelRequest:
    """Read a request; Undeliverable if there could be two opinions on what it asks for."""
    if media_type(b"".join(values(fields, b"content-type"))) != JSON:
        raise _bad("its Content-Type must be application/json")
    if values(fields, b"content-encoding"):
        raise _bad("its body must not be compressed")
    try:
        document = parse_object(body)
    except MalformedError as error:
        raise _bad(f"its body cannot be read: {error}") from None
    model = document.get("model")
    if not isinstance(model, str) or not model.isprintable() or not 0 < len(model) <= MAX_NAME:
        raise _bad("'model' must be the name of a model")
    stream = document.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise _bad("'stream' must be true or false")
    if "models" in document:
        raise _bad("'models' names models that would be called in place of 'model'")
    if document.get("background"):
        raise _bad("what runs in the background does not tell what it uses")
    if operation is Operation.CHAT and stream:
        return _with_usage(model, document, body)
    return ModelRequest(model, bool(stream), body)


def _with_usage(model: str, document: Document, body: bytes) -> ModelRequest:
    """Ask for the chunk with the usage, which a stream of chat completions has on demand alone."""
    options = document.get("stream_options")
    if options is None:
        options = {}
    if not isinstance(options, dict):
        raise _bad("'stream_options' must be an object")
    if options.get("include_usage") is True:
        return ModelRequest(model, stream=True, body=body)
    document = {**document, "stream_options": {**options, "include_usage": True}}
    try:
        changed = json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:  # a number beyond those of this machine
        raise _bad("its body has a number that is too large") from None
    return ModelRequest(model, stream=True, body=changed, hide_usage=True)


def _bad(why: str) -> Undeliverable:
    return Undeliverable(HTTPStatus.BAD_REQUEST, f"the request is not passed on: {why}")
