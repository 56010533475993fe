"""Puts a secret into the one field of a body that it belongs in.

The agent writes the placeholder ``{{stockade:NAME}}`` as the whole value of that field. Nowhere
else is it replaced: otherwise an agent could have a secret written into a comment and read it
there.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from urllib.parse import parse_qsl, quote_plus

from stockade.egress.courier.problems import Undeliverable
from stockade.egress.strictjson import MalformedError, parse_object

MAX_BODY = 256 * 1024
"""Bytes of a body that is looked into."""

JSON = b"application/json"
FORM = b"application/x-www-form-urlencoded"
_MAX_FIELDS = 1000


def placeholder(name: str) -> str:
    """What an agent writes in the place of the secret of credential ``name``."""
    return f"{{{{stockade:{name}}}}}"


def fill(body: bytes, media: bytes, *, field: str, name: str, secret: str) -> bytes:
    """Give ``body`` with the secret in place of the placeholder, or unchanged if there is none.

    Undeliverable if it has the placeholder and cannot be read.
    """
    if media == FORM:
        return _fill_form(body, field=field, name=name, secret=secret)
    if placeholder(name).encode() not in body:
        return body
    try:
        document = parse_object(body)
    except MalformedError as error:
        raise Undeliverable(
            HTTPStatus.BAD_REQUEST, f"the body with the placeholder is not plain JSON: {error}"
        ) from None
    if document.get(field) != placeholder(name):
        return body
    return json.dumps({**document, field: secret}).encode()


def _fill_form(body: bytes, *, field: str, name: str, secret: str) -> bytes:
    pieces = body.split(b"&")
    if len(pieces) > _MAX_FIELDS:
        raise Undeliverable(HTTPStatus.BAD_REQUEST, f"the form has more than {_MAX_FIELDS} fields")
    wanted = [(field, placeholder(name))]
    filled = f"{quote_plus(field)}={quote_plus(secret)}".encode()
    return b"&".join(
        filled if parse_qsl(piece.decode("latin-1"), keep_blank_values=True) == wanted else piece
        for piece in pieces
    )
