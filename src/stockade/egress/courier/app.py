"""The courier: what the proxy in front hands it, it carries, or says why not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

import anyio

from stockade.egress.courier.errand import Errand, Order
from stockade.egress.courier.fields import authority, media_type, tokens, values
from stockade.egress.courier.placeholders import FORM, JSON, MAX_BODY, fill
from stockade.egress.courier.problems import BrokenOffError, Undeliverable
from stockade.egress.courier.visit import Visit
from stockade.egress.http import envelope
from stockade.model.credentials import Place
from stockade.model.errors import CredentialError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from stockade.egress.courier.carrier import Carrier
    from stockade.egress.courier.errand import Delivery, Lookup

Handler = Callable[[Visit, Errand], Awaitable[None]]
"""Answers requests of one kind."""

_ORDER = {
    "session": envelope.SESSION,
    "host": envelope.HOST,
    "scheme": envelope.SCHEME,
    "address": envelope.ADDRESS,
    "rule": envelope.RULE,
}


class Courier:
    """An ASGI application. ``models`` answers the requests for language models."""

    def __init__(self, lookup: Lookup, carrier: Carrier, models: Handler | None = None) -> None:
        self._lookup = lookup
        self._carrier = carrier
        self._models = models

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever goes wrong."""
        if scope["type"] != "http":
            return
        visit = Visit(scope, receive, send)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._until_gone, visit, group.cancel_scope)
                await self._answer(visit)
                group.cancel_scope.cancel()
        except Exception:  # noqa: BLE001 - nothing that is raised here may reach a log
            await visit.refuse(HTTPStatus.BAD_GATEWAY, "the courier failed")

    async def _until_gone(self, visit: Visit, scope: anyio.CancelScope) -> None:
        await visit.gone()
        scope.cancel()

    async def _answer(self, visit: Visit) -> None:
        try:
            errand = await self._errand(visit)
            if errand.provider is not None and self._models:
                await self._models(visit, errand)
            else:
                await self._carry(visit, errand)
        except Undeliverable as failure:
            await visit.refuse(failure.status, failure.detail)
        except CredentialError:
            # Where secrets are kept, and why one cannot be read, is the operator's to know.
            await visit.refuse(HTTPStatus.BAD_GATEWAY, "the credential for this cannot be read")
        except TimeoutError:
            await visit.refuse(HTTPStatus.REQUEST_TIMEOUT, "the request came in too slowly")
        except BrokenOffError:
            await visit.refuse(HTTPStatus.BAD_GATEWAY, "the answer ends before its end")

    async def _errand(self, visit: Visit) -> Errand:
        _check_form(visit)
        errand = await self._lookup(_order(visit))
        if errand is None:
            raise Undeliverable(HTTPStatus.FORBIDDEN, "this request is not granted")
        if errand.provider is not None and self._models is None:
            raise Undeliverable(HTTPStatus.FORBIDDEN, "language models are not served here")
        _check_host(visit, errand)
        return errand

    async def _carry(self, visit: Visit, errand: Errand) -> None:
        delivery = errand.delivery
        if delivery and delivery.credential.place is Place.BODY:
            media = media_type(b"".join(values(visit.fields, b"content-type")))
            if media in (JSON, FORM) and not values(visit.fields, b"content-encoding"):
                body = _filled(await visit.whole_body(MAX_BODY), media, delivery)
                await self._exchange(visit, errand, body)
                return
        await self._exchange(visit, errand, visit.body())

    async def _exchange(
        self, visit: Visit, errand: Errand, body: bytes | AsyncIterator[bytes]
    ) -> None:
        async with self._carrier.carry(
            errand, visit.method, visit.target, visit.fields, body
        ) as answer:
            await visit.pass_on(answer)


def _order(visit: Visit) -> Order:
    """Read what the proxy says; a request that has two of a field, or none, is not from it."""
    said = {name: values(visit.fields, field.encode()) for name, field in _ORDER.items()}
    if any(len(found) != 1 for found in said.values()):
        raise Undeliverable(HTTPStatus.BAD_REQUEST, "the request does not say whose it is")
    return Order(**{name: found[0].decode("latin-1") for name, found in said.items()})


def _check_form(visit: Visit) -> None:
    if not visit.path.startswith(b"/"):
        raise Undeliverable(HTTPStatus.BAD_REQUEST, "the request's target is not a path")
    if b"upgrade" in tokens(visit.fields, b"connection"):
        raise Undeliverable(
            HTTPStatus.NOT_IMPLEMENTED,
            "a WebSocket cannot be given a credential: what it carries is not looked into",
        )


def _check_host(visit: Visit, errand: Errand) -> None:
    named = values(visit.fields, b"host")
    allowed = {authority(errand, always_port=True), authority(errand)}
    if len(named) != 1 or named[0].lower() not in allowed:
        raise Undeliverable(
            HTTPStatus.MISDIRECTED_REQUEST, "the request names another host than it was granted for"
        )


def _filled(body: bytes, media: bytes, delivery: Delivery) -> bytes:
    return fill(
        body,
        media,
        field=delivery.credential.body or "",
        name=delivery.name,
        secret=delivery.secret.reveal(),
    )
