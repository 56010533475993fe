"""The forms of Envoy's configuration."""

from __future__ import annotations

from stockade.egress.http.api import extension, seconds, typed


def test_a_type_is_told_with_its_message() -> None:
    assert typed("a.B", x=1) == {"@type": "type.googleapis.com/a.B", "x": 1}
    assert extension("n", "a.B")["typed_config"] == typed("a.B")


def test_a_duration_has_its_unit() -> None:
    assert seconds(0.25) == "0.250s"
