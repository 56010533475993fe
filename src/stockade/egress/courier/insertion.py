"""Puts a credential into a request, in the one place that it goes."""

from __future__ import annotations

import base64
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_plus

from stockade.egress.courier.fields import Fields, without
from stockade.egress.courier.problems import Undeliverable
from stockade.model.credentials import PLACEHOLDER, Place

if TYPE_CHECKING:
    from stockade.egress.courier.errand import Delivery

_AUTHORIZATION = b"authorization"


def insert(target: bytes, fields: Fields, delivery: Delivery) -> tuple[bytes, Fields]:
    """Give target and fields with the credential, in place of whatever the agent put there.

    A credential that goes into the body leaves them as they are.
    """
    credential = delivery.credential
    match credential.place:
        case Place.HEADER:
            name = credential.header.lower().encode()
            value = credential.format.replace(PLACEHOLDER, delivery.secret.reveal())
            return target, _with(fields, name, _ascii(value, delivery))
        case Place.BASIC:
            # RFC 7617, section 2.1: UTF-8
            pair = f"{credential.basic}:{delivery.secret.reveal()}".encode()
            return target, _with(fields, _AUTHORIZATION, b"Basic " + base64.b64encode(pair))
        case Place.QUERY:
            return _with_parameter(target, credential.query or "", delivery.secret.reveal()), fields
        case Place.BODY:
            return target, fields


def _with(fields: Fields, name: bytes, value: bytes) -> Fields:
    return [*without(fields, {name}), (name, value)]


def _ascii(value: str, delivery: Delivery) -> bytes:
    if not value.isascii():
        raise Undeliverable(
            HTTPStatus.BAD_GATEWAY,
            f"the secret of credential {delivery.name} is not ASCII and cannot be a header",
        )
    return value.encode()


def _with_parameter(target: bytes, name: str, secret: str) -> bytes:
    path, _, query = target.partition(b"?")
    kept = [
        part
        for part in query.split(b"&")
        if part and unquote_plus(part.partition(b"=")[0].decode("latin-1")) != name
    ]
    own = f"{quote(name, safe='')}={quote(secret, safe='')}".encode()
    return path + b"?" + b"&".join([*kept, own])
