"""Carries one request upstream and gives its answer, cleaned of the secret it was sent with."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import anyio
import httpcore2

from stockade.egress.courier.decoding import Gunzip, decoder
from stockade.egress.courier.fields import (
    Fields,
    authority,
    end_to_end,
    lowered,
    of_request,
    without,
)
from stockade.egress.courier.insertion import insert
from stockade.egress.courier.problems import BrokenOffError, Undeliverable
from stockade.egress.courier.scrubbing import Scrubber

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator

    from stockade.egress.courier.errand import Errand
    from stockade.egress.courier.upstream import Upstreams


@dataclass(frozen=True, slots=True)
class Patience:
    """The seconds that the steps of a request may take; ``read`` holds between two pieces."""

    pool: float = 30.0
    connect: float = 10.0
    write: float = 60.0
    read: float = 600.0

    def extension(self) -> dict[str, float]:
        """As httpcore2 wants them."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Answer:
    """An upstream's answer, ready to be passed on."""

    status: int
    fields: Fields
    body: AsyncIterator[bytes]


class Carrier:
    """Carries requests over the connections of ``upstreams``."""

    def __init__(self, upstreams: Upstreams, patience: Patience | None = None) -> None:
        self._upstreams = upstreams
        self._patience = patience or Patience()

    @asynccontextmanager
    async def carry(
        self,
        errand: Errand,
        method: str,
        target: bytes,
        fields: Fields,
        body: AsyncIterable[bytes] | bytes,
    ) -> AsyncIterator[Answer]:
        """Send a request and give its answer, whose body is to be read inside the context.

        ``target`` is in origin form and ``fields`` are as they came, with names in small letters.
        A credential that goes into the body is the caller's to insert. Undeliverable if there is
        no answer to pass on; reading the body raises BrokenOffError if its end does not come.
        """
        length = len(body) if isinstance(body, bytes) else None
        fields = of_request(fields, host=authority(errand), length=length)
        scrubber = None
        if errand.delivery:
            target, fields = insert(target, fields, errand.delivery)
            scrubber = Scrubber(errand.delivery.secret)
        request = httpcore2.Request(
            method,
            httpcore2.URL(scheme=errand.scheme, host=errand.host, port=errand.port, target=target),
            headers=fields,
            content=body,
            extensions={"timeout": self._patience.extension()},
        )
        response = await self._response(errand, request)
        try:
            yield _answer(response, scrubber, decode=bool(scrubber or errand.provider))
        finally:
            with anyio.CancelScope(shield=True):
                await response.aclose()

    async def _response(self, errand: Errand, request: httpcore2.Request) -> httpcore2.Response:
        pool = await self._upstreams.pool(errand)
        try:
            return await pool.handle_async_request(request)
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException) as e:
            failure = _explain(e)
        # Outside of the handler: such an error may hold what was sent, and would come along.
        raise failure


# The first that fits.
_FAILURES: tuple[tuple[type[Exception], HTTPStatus, str], ...] = (
    (
        httpcore2.PoolTimeout,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "too many requests to this host are on their way",
    ),
    (
        httpcore2.ConnectTimeout,
        HTTPStatus.GATEWAY_TIMEOUT,
        "the server cannot be connected to in time",
    ),
    (
        httpcore2.TimeoutException,
        HTTPStatus.GATEWAY_TIMEOUT,
        "the server did not answer in time",
    ),
    (httpcore2.ConnectError, HTTPStatus.BAD_GATEWAY, "the server cannot be connected to"),
    (httpcore2.LocalProtocolError, HTTPStatus.BAD_REQUEST, "the request is not proper HTTP"),
    (
        httpcore2.RemoteProtocolError,
        HTTPStatus.BAD_GATEWAY,
        "the server's answer is not proper HTTP",
    ),
)


def _explain(error: Exception) -> Undeliverable:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Undeliverable(
                HTTPStatus.BAD_GATEWAY,
                f"the server's certificate is not accepted: {cause.verify_message}",
            )
        cause = cause.__cause__ or cause.__context__
    for kind, status, detail in _FAILURES:
        if isinstance(error, kind):
            return Undeliverable(status, detail)
    return Undeliverable(HTTPStatus.BAD_GATEWAY, "the connection to the server broke")


def _answer(response: httpcore2.Response, scrubber: Scrubber | None, *, decode: bool) -> Answer:
    raw = response.headers
    if scrubber:
        # An asterisk may stand in a name as well (RFC 9110, section 5.6.2).
        raw = [(scrubber.whole(name), scrubber.whole(value)) for name, value in raw]
    fields = end_to_end(lowered(raw))
    gunzip = decoder(fields) if decode else None
    if gunzip:
        fields = without(fields, {b"content-encoding", b"content-length", b"etag"})
    if scrubber:
        # A browser-like client would ask for the rest of an answer by itself.
        fields = without(fields, {b"accept-ranges"})
    return Answer(response.status, fields, _body(response, gunzip, scrubber))


async def _body(
    response: httpcore2.Response, gunzip: Gunzip | None, scrubber: Scrubber | None
) -> AsyncIterator[bytes]:
    broken = None
    try:
        async for chunk in response.aiter_stream():
            for piece in gunzip.feed(chunk) if gunzip else (chunk,):
                if clean := scrubber.feed(piece) if scrubber else piece:
                    yield clean
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException):
        broken = BrokenOffError("the answer ends before its end")
    if broken:
        raise broken
    if gunzip:
        gunzip.end()
    if scrubber and (rest := scrubber.end()):
        yield rest
