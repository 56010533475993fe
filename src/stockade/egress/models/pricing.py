"""Says what a call cost, by the prices that genai-prices was published with.

Nothing is fetched: a price that came after that version is not known, and is said to be so.
"""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from genai_prices.data_snapshot import get_snapshot

from stockade.egress.models.operations import Operation, api_of
from stockade.model.usage import MAX_TOKENS, Usage

if TYPE_CHECKING:
    from decimal import Decimal

    from genai_prices import Usage as Counts
    from genai_prices.types import Provider

    from stockade.egress.models.meter import Meter

_FLAVORS = {
    Operation.CHAT: "chat",
    Operation.RESPONSES: "responses",
    Operation.EMBEDDINGS: "embeddings",
    Operation.MESSAGES: "default",
}


def settle_up(
    provider: str, model: str, operation: Operation, meter: Meter, *, complete: bool
) -> Usage:
    """What a call of ``model`` used and cost by what its answer told; it always gives a usage."""
    told: dict[str, object] = {"measured": False}
    if meter.absurd:
        told["note"] = "the usage in the answer cannot be true"
    elif meter.usage is None:
        end = "tells no usage" if complete else "broke off before its usage"
        told["note"] = f"the answer {end}"
    else:
        try:
            counts = _counts(provider, operation, meter)
            told = dict(_used(counts))
        except (ValueError, LookupError):
            told["note"] = "the usage in the answer cannot be read"
        else:
            told["usd"] = _price(provider, (meter.served, model), counts, meter.tier)
            told["note"] = "the price is not known" if told["usd"] is None else ""
    call = {"provider": provider, "model": model, "served": meter.served, "complete": complete}
    return Usage.model_validate({**call, **told})


def _provider(name: str) -> Provider | None:
    return next((each for each in get_snapshot().providers if each.id == name), None)


def _counts(provider: str, operation: Operation, meter: Meter) -> Counts:
    """The counts under the names of genai-prices; ValueError if one that must be is missing."""
    # A provider of one's own answers as the one whose API it speaks.
    reader = _provider(api_of(provider).value)
    if reader is None:
        raise ValueError("no reader")
    _, counts = reader.extract_usage({"usage": meter.usage}, api_flavor=_FLAVORS[operation])
    return counts


def _used(counts: Counts) -> dict[str, int]:
    names = {
        "input": "input_tokens",
        "output": "output_tokens",
        "cache_read": "cache_read_tokens",
        "cache_write": "cache_write_tokens",
        "reasoning": "output_reasoning_tokens",
    }
    used = {name: int(counts.reported_value(key)) for name, key in names.items()}
    if max(used.values()) > MAX_TOKENS or used["cache_read"] + used["cache_write"] > used["input"]:
        raise ValueError("out of bounds")
    return used


def _price(provider: str, models: tuple[str, ...], counts: Counts, tier: str) -> Decimal | None:
    """The price by the first of ``models`` that has one, or None."""
    snapshot, seller = get_snapshot(), _provider(provider)
    for name in models if seller else ():
        model = name and seller and seller.find_model(name, all_providers=snapshot.providers)
        if not model or not seller:
            continue
        try:
            with warnings.catch_warnings(action="ignore"):
                price = model.calc_price(
                    counts,
                    seller,
                    genai_request_timestamp=datetime.now(UTC),
                    price_context={"service_tier": tier} if tier else None,
                )
        except (ValueError, LookupError, ArithmeticError):
            continue
        return price.total_price
    return None
