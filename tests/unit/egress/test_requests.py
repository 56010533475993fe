"""What the proxy and the courier are told about requests, by the real gate and policy."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

import pytest

from stockade.audit.journal import Journal, read_decisions
from stockade.egress.courier.errand import Order
from stockade.egress.credentials.keyring import Keyring
from stockade.egress.http.check import Courier, Direct, HttpCheck, Refusal
from stockade.egress.requests import Client, Requests
from stockade.gate import Gate
from stockade.model.action import HttpRequest, ModelCall
from stockade.model.errors import CredentialError
from stockade.model.profile import Profile
from stockade.model.usage import Usage
from stockade.policy.engine import compile_profile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stockade.egress.addresses import Address

pytestmark = pytest.mark.anyio

SECRET = "s3cr3t-of-the-upstream"
NOBODY = IPv6Address("fd57:c4a:de00::1")
PUBLIC = ip_address("93.184.216.34")
PROFILE = Profile.model_validate(
    {
        "network": [
            {"host": "a.example", "paths": ["/public/**"]},
            {"host": "a.example", "paths": ["/mine/**"], "credential": "key"},
            {"host": "inside.example"},
            {"host": "10.0.0.7", "protocol": "http"},
        ],
        "credentials": {"key": {"from": "env:TEST_KEY"}},
        "models": [{"provider": "openai", "models": ["gpt-4o*"], "credential": "key"}],
    }
)
_PERMIT = 'permit (principal, action == Action::"http", resource == Host::"{}");'
CEDAR = {"own.cedar": _PERMIT.format("c.example") + _PERMIT.format("169.254.169.254")}
LEADS = {"inside.example": "10.0.0.7"}


@dataclass
class Session:
    """One session of two halves: what asks, and what is asked."""

    requests: Requests
    client: IPv6Address
    journal: Path
    settled: list[Usage] = field(default_factory=list)

    def check(self, url: str, method: str = "GET", **changes: Any) -> HttpCheck:
        scheme, _, rest = url.partition("://")
        host, slash, path = rest.partition("/")
        values: dict[str, Any] = {
            "session": self.client,
            "destination": IPv4Address("198.18.0.1"),
            "port": 443 if scheme == "https" else 80,
            "scheme": scheme,
            "host": host,
            "method": method,
            "path": slash + path,
            "query": "",
        }
        return HttpCheck(**{**values, **changes})

    def order(self, rule: str, **changes: str) -> Order:
        values = {
            "session": str(self.client),
            "host": "a.example",
            "scheme": "https",
            "address": f"{PUBLIC}:443",
            "rule": rule,
        }
        return Order(**{**values, **changes})


async def _resolve(host: str) -> list[Address]:
    return [ip_address(LEADS.get(host, str(PUBLIC)))]


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("TEST_KEY", SECRET)
    path = tmp_path / "journal"
    requests = Requests(tmp_path / "state", tmp_path / "runtime")
    with ExitStack() as stack:
        gate = Gate("s1", compile_profile(PROFILE, cedar=CEDAR), stack.enter_context(Journal(path)))
        session = Session(requests, NOBODY, path)

        async def settle(usage: Usage) -> None:
            session.settled.append(usage)

        client = Client(
            session="s1",
            network=PROFILE.network,
            models=PROFILE.models,
            keyring=Keyring(PROFILE.credentials),
            submit=gate.submit,
            settle=settle,
            resolve=_resolve,
        )
        session.client = stack.enter_context(requests.admit(client))._client
        yield session


async def test_what_is_granted_goes_to_a_vetted_address(session: Session) -> None:
    answer = await session.requests._judge(session.check("https://a.example/public/x", query="q"))
    assert answer == Direct(PUBLIC, 443)
    [decision] = read_decisions(session.journal)
    assert decision.action == HttpRequest(
        method="GET", scheme="https", host="a.example", port=443, path="/public/x", query="q"
    )
    assert decision.verdict.rule == "network[0]"


@pytest.mark.parametrize(
    ("url", "method"),
    [("https://a.example/other", "GET"), ("https://a.example/public/x", "PUT")],
)
async def test_a_refusal_says_why_and_how_to_ask(session: Session, url: str, method: str) -> None:
    answer = await session.requests._judge(session.check(url, method))
    [decision] = read_decisions(session.journal)
    verdict = decision.verdict
    assert isinstance(answer, Refusal)
    assert (answer.rule, answer.reason, answer.hint) == (
        verdict.rule,
        verdict.reason,
        verdict.hint,
    )
    assert answer.status == 403
    assert "stockade policy explain" in answer.how_to_ask


async def test_what_gets_a_credential_is_for_the_courier(session: Session) -> None:
    answer = await session.requests._judge(session.check("https://a.example/mine/x"))
    assert answer == Courier("network[1]", PUBLIC, 443)


async def test_a_host_of_models_is_for_the_courier_and_not_yet_decided(session: Session) -> None:
    check = session.check("https://api.openai.com/v1/chat/completions", "POST")
    assert await session.requests._judge(check) == Courier("models[0]", PUBLIC, 443)
    assert list(read_decisions(session.journal)) == []


async def test_a_host_of_models_in_the_clear_is_one_like_any_other(session: Session) -> None:
    answer = await session.requests._judge(session.check("http://api.openai.com/v1/models"))
    assert isinstance(answer, Refusal)


async def test_a_rule_of_a_cedar_file_brings_no_credential(session: Session) -> None:
    answer = await session.requests._judge(session.check("https://c.example/mine/x"))
    assert answer == Direct(PUBLIC, 443)
    [decision] = read_decisions(session.journal)
    assert decision.verdict.rule.startswith("cedar:own.cedar")


async def test_a_name_that_leads_inside_is_refused(session: Session) -> None:
    answer = await session.requests._judge(session.check("https://inside.example/"))
    assert isinstance(answer, Refusal)
    assert "not a public address" in answer.reason
    assert "Grant the address itself" in answer.hint


async def test_an_address_that_was_granted_itself_may_be_inside(session: Session) -> None:
    answer = await session.requests._judge(session.check("http://10.0.0.7/x"))
    assert answer == Direct(ip_address("10.0.0.7"), 80)


async def test_an_address_inside_that_only_a_cedar_file_allows_is_refused(
    session: Session,
) -> None:
    answer = await session.requests._judge(session.check("http://169.254.169.254/latest"))
    assert isinstance(answer, Refusal)
    assert answer.reason == "169.254.169.254 is not a public address"
    [decision] = read_decisions(session.journal)
    assert decision.verdict.allowed


@pytest.mark.parametrize("changes", [{"query": "q" * 100_000}, {"path": "/" + "p" * 100_000}])
async def test_what_is_too_long_for_the_record_is_refused(
    session: Session, changes: dict[str, str]
) -> None:
    answer = await session.requests._judge(session.check("https://a.example/public/", **changes))
    assert isinstance(answer, Refusal)
    assert answer.status == 400
    assert list(read_decisions(session.journal)) == []


async def test_a_session_that_is_over_has_nothing(tmp_path: Path) -> None:
    requests = Requests(tmp_path / "state", tmp_path / "runtime")
    client = Client("s1", (), (), Keyring({}), pytest.fail, pytest.fail)  # type: ignore[arg-type]
    with requests.admit(client) as inspector:
        session = Session(requests, inspector._client, tmp_path)
    answer = await requests._judge(session.check("https://a.example/public/x"))
    assert isinstance(answer, Refusal)
    assert answer.reason == "the session is over"
    assert await requests._errand(session.order("network[0]")) is None


def test_each_session_has_an_address_that_nobody_else_has(tmp_path: Path) -> None:
    requests = Requests(tmp_path / "state", tmp_path / "runtime")
    client = Client("s1", (), (), Keyring({}), pytest.fail, pytest.fail)  # type: ignore[arg-type]
    with ExitStack() as stack:
        given = {stack.enter_context(requests.admit(client))._client for _ in range(50)}
    assert len(given) == 50
    assert all(address.is_private for address in given)


async def test_an_errand_has_the_credential_of_the_grant(session: Session) -> None:
    errand = await session.requests._errand(session.order("network[1]"))
    assert errand is not None
    assert (errand.scheme, errand.host, errand.port) == ("https", "a.example", 443)
    assert (errand.addresses, errand.provider) == ([PUBLIC], None)
    assert errand.delivery is not None
    assert errand.delivery.name == "key"
    assert errand.delivery.secret.reveal() == SECRET
    assert SECRET not in repr(errand)


async def test_an_errand_to_models_names_their_provider(session: Session) -> None:
    order = session.order("models[0]", host="api.openai.com", address="[2606:4700::1111]:443")
    errand = await session.requests._errand(order)
    assert errand is not None
    assert errand.provider == "openai"
    assert errand.addresses == [ip_address("2606:4700::1111")]
    assert errand.delivery is not None


@pytest.mark.parametrize(
    "rule", ["network[0]", "network[99]", "models[1]", "cedar:key", "default", "network[1]x", ""]
)
async def test_any_other_rule_brings_no_credential(session: Session, rule: str) -> None:
    errand = await session.requests._errand(session.order(rule))
    assert errand is not None
    assert errand.delivery is None


async def test_without_its_secret_an_errand_is_none(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEST_KEY")
    with pytest.raises(CredentialError, match="TEST_KEY"):
        await session.requests._errand(session.order("network[1]"))


@pytest.mark.parametrize(("model", "allowed"), [("gpt-4o-mini", True), ("o1", False)])
async def test_calls_of_models_are_put_to_the_sessions_own_gate(
    session: Session, model: str, allowed: bool
) -> None:
    call = ModelCall(provider="openai", model=model)
    verdict = await session.requests._ask(str(session.client), call)
    assert verdict.allowed is allowed
    [decision] = read_decisions(session.journal)
    assert decision.action == call


async def test_what_a_call_used_is_settled_by_its_session(session: Session) -> None:
    usage = Usage(provider="openai", model="gpt-4o-mini", input=3)
    await session.requests._settle(str(session.client), usage)
    assert session.settled == [usage]
