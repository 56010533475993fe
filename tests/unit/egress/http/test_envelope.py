"""Names of internal headers."""

from __future__ import annotations

from stockade.egress.http import envelope


def test_every_header_has_the_prefix_that_is_removed() -> None:
    names = [value for name, value in vars(envelope).items() if name.isupper() and name != "PREFIX"]
    for name in names:
        for each in (name,) if isinstance(name, str) else name:
            assert each.startswith(envelope.PREFIX)
            assert each == each.lower()
