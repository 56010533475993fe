"""The door to language models: asks the gate, forwards, and settles what was used."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

import anyio

from stockade.egress.courier.fields import media_type, values, without
from stockade.egress.courier.problems import BrokenOffError, Undeliverable
from stockade.egress.models.events import Events
from stockade.egress.models.memory import Memory
from stockade.egress.models.meter import Meter, Part
from stockade.egress.models.operations import Operation, api_of, operation
from stockade.egress.models.pricing import settle_up
from stockade.egress.models.refusals import refusal
from stockade.egress.models.request import MAX_BODY, ModelRequest, read_request
from stockade.model.action import Action, ModelCall
from stockade.model.usage import Usage
from stockade.model.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from stockade.egress.courier.carrier import Answer, Carrier
    from stockade.egress.courier.errand import Errand
    from stockade.egress.courier.visit import Visit

Submit = Callable[[str, Action], Awaitable[Verdict]]
"""Puts an action of a session to its gate."""

Settle = Callable[[str, Usage], Awaitable[None]]
"""Records what a call of a session used; what it raises ends the answer."""

MAX_ANSWER = 32 * 1024 * 1024
"""Bytes of an answer that is not a stream."""

_PATIENCE = 10.0
"""Seconds that recording may take, or an upstream to end a stream whose last event was seen."""

# What would have the provider bill, or show the call to, somebody else than was granted.
_IDENTITY = {b"authorization", b"x-api-key", b"api-key", b"cookie"}
_IDENTITY |= {b"openai-organization", b"openai-project"}
_EVENT_STREAM = b"text/event-stream"


class ModelDoor:
    """Answers requests for the hosts of providers; use it as the courier's ``models``."""

    def __init__(self, carrier: Carrier, submit: Submit, settle: Settle) -> None:
        self._carrier = carrier
        self._submit = submit
        self._settle = settle
        self._memory = Memory()

    async def __call__(self, visit: Visit, errand: Errand) -> None:
        """Answer one request, with errors in the provider's own shape."""
        api = api_of(errand.provider or "")
        try:
            await self._serve(visit, errand)
        except _RefusedError as error:
            answer = refusal(api, HTTPStatus.FORBIDDEN, str(error), error.code)
        except Undeliverable as failure:
            answer = refusal(api, failure.status, failure.detail, "stockade_undeliverable")
        except TimeoutError:
            detail = "the request came in too slowly"
            answer = refusal(api, HTTPStatus.REQUEST_TIMEOUT, detail, "stockade_timeout")
        except BrokenOffError as error:
            answer = refusal(api, HTTPStatus.BAD_GATEWAY, str(error), "stockade_undeliverable")
        else:
            return
        if not visit.begun:
            status, fields, body = answer
            await visit.start(status, fields)
            await visit.finish(body)

    async def _serve(self, visit: Visit, errand: Errand) -> None:
        provider, path = errand.provider or "", visit.path.decode("latin-1")
        asked = operation(api_of(provider), visit.method, path)
        if asked is None:
            raise _RefusedError(
                f"{visit.method} {path} is not served: what it uses cannot be told",
                "route_not_served",
            )
        if asked is Operation.LIST:
            async with self._carry(visit, errand, visit.body()) as answer:
                await visit.pass_on(answer)
            return
        with self._memory.share() as take:
            request = read_request(asked, visit.fields, await visit.whole_body(MAX_BODY, take))
            await self._ask(errand, provider, request.model)
            async with self._carry(visit, errand, request.body) as answer:
                if not asked.costs or not 200 <= answer.status < 300:
                    await visit.pass_on(answer)
                else:
                    call = _Call(self._settle, errand.session, provider, asked, request)
                    await call.pass_on(visit, answer, take)

    async def _ask(self, errand: Errand, provider: str, model: str) -> None:
        verdict = await self._submit(errand.session, ModelCall(provider=provider, model=model))
        if not verdict.allowed:
            hint = f" {verdict.hint}" if verdict.hint else ""
            raise _RefusedError(
                f"{verdict.reason} (rule {verdict.rule}).{hint}", "model_not_allowed"
            )

    def _carry(
        self, visit: Visit, errand: Errand, body: bytes | AsyncIterator[bytes]
    ) -> AbstractAsyncContextManager[Answer]:
        fields = without(visit.fields, _IDENTITY)
        return self._carrier.carry(errand, visit.method, visit.target, fields, body)


class _RefusedError(Exception):
    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class _Call:
    """One call whose answer is passed on and measured. It is settled once, however it ends."""

    def __init__(
        self,
        settle: Settle,
        session: str,
        provider: str,
        asked: Operation,
        request: ModelRequest,
    ) -> None:
        self._settle = settle
        self._session, self._provider = session, provider
        self._asked, self._request = asked, request
        self._meter = Meter(asked)
        self._settled = False

    async def pass_on(self, visit: Visit, answer: Answer, take: Callable[[int], None]) -> None:
        kind = media_type(b"".join(values(answer.fields, b"content-type")))
        try:
            if kind == _EVENT_STREAM:
                await self._stream(visit, answer)
            else:
                await self._whole(visit, answer, take)
        finally:
            if not self._settled:  # broken off, or whoever asked has gone
                with anyio.CancelScope(shield=True):
                    await self._record(complete=False)

    async def _whole(self, visit: Visit, answer: Answer, take: Callable[[int], None]) -> None:
        body = bytearray()
        async for chunk in answer.body:
            if len(body) + len(chunk) > MAX_ANSWER:
                raise Undeliverable(HTTPStatus.BAD_GATEWAY, "the model's answer is too long")
            take(len(chunk))
            body += chunk
        self._meter.document(bytes(body))
        await self._record(complete=True)
        length = (b"content-length", str(len(body)).encode())
        await visit.start(answer.status, [*without(answer.fields, {b"content-length"}), length])
        await visit.finish(bytes(body))

    async def _stream(self, visit: Visit, answer: Answer) -> None:
        await visit.start(answer.status, without(answer.fields, {b"content-length"}))
        events, last = Events(), None
        async for chunk in answer.body:
            passing = bytearray()
            for event in events.feed(chunk):
                part = self._meter.event(event)
                if part is Part.LAST:
                    last = event
                    break
                if part is Part.CONTENT or not self._request.hide_usage:
                    passing += event
            if passing:
                await visit.write(bytes(passing))
            if last is not None:
                break
        # The last event is held back until the record is made; what would follow it is dropped.
        await self._record(complete=last is not None)
        await visit.finish(events.rest() if last is None else last)
        await _drain(answer)

    async def _record(self, *, complete: bool) -> None:
        self._settled = True
        usage = settle_up(
            self._provider, self._request.model, self._asked, self._meter, complete=complete
        )
        problem = "its use could not be recorded"
        try:
            with anyio.fail_after(_PATIENCE):
                await self._settle(self._session, usage)
        except Exception:  # noqa: BLE001 - whatever it was, there is no record
            failed = True
        else:
            failed = False
        if failed:
            raise Undeliverable(HTTPStatus.SERVICE_UNAVAILABLE, problem)


async def _drain(answer: Answer) -> None:
    """Read the end of a stream, so that its connection can be used again."""
    with anyio.move_on_after(_PATIENCE):
        size = 0
        try:
            async for chunk in answer.body:
                size += len(chunk)
                if size > 65_536:
                    return
        except BrokenOffError:
            return
