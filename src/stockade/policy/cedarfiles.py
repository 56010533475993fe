"""What can be told of a Cedar file without asking it."""

from __future__ import annotations

import json
from typing import Any

import cedarpy


def permits(text: str) -> bool:
    """Whether some rule of ``text`` allows anything; true as well if it cannot be read."""
    rules = _rules(text)
    return rules is None or any(rule.get("effect") != "forbid" for rule in rules)


def names_agents(text: str) -> bool:
    """Whether some rule holds for certain agents only; true as well if it cannot be read."""
    rules = _rules(text)
    return rules is None or any(
        rule.get("principal") != {"op": "All"} or '"principal"' in json.dumps(rule["conditions"])
        for rule in rules
    )


def _rules(text: str) -> list[dict[str, Any]] | None:
    try:
        read = json.loads(cedarpy.policies_to_json_str(text))
    except ValueError:
        return None
    return [*read.get("staticPolicies", {}).values(), *read.get("templates", {}).values()]
