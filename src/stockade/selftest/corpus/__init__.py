"""All attempts to get past the egress wall, and what has to work beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.selftest.corpus import lookups, paths, places, requests
from stockade.selftest.corpus.attempt import Attempt
from stockade.selftest.hosts import API, DATABASE, NAIVE, TCP_PORT

if TYPE_CHECKING:
    from collections.abc import Sequence

CONTROL = "control"
"""The category of what has to arrive."""

CONTROLS = (
    Attempt(CONTROL, "granted request", "fetch", {"url": f"https://{API}/public/{{mark}}"}),
    Attempt(CONTROL, "granted request to the host that believes all", "fetch",
            {"url": f"https://{NAIVE}/public/{{mark}}"}),
    Attempt(CONTROL, "request with a credential", "fetch",
            {"url": f"https://{API}/given/{{mark}}", "method": "POST", "body": "x"}),
    Attempt(CONTROL, "granted TCP", "talk",
            {"host": DATABASE, "port": TCP_PORT, "text": "{mark}"}),
)  # fmt: skip

ATTEMPTS: Sequence[Attempt] = (
    *places.ATTEMPTS,
    *lookups.ATTEMPTS,
    *requests.ATTEMPTS,
    *paths.ATTEMPTS,
)

CATEGORIES = tuple(dict.fromkeys(one.category for one in ATTEMPTS))
