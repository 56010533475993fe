"""What is held is counted, and given back."""

from __future__ import annotations

import pytest

from stockade.egress.courier.problems import Undeliverable
from stockade.egress.models.memory import Memory


def test_all_share_one_amount() -> None:
    memory = Memory(10)
    with memory.share() as first:
        first(6)
        with memory.share() as second:
            second(4)
            with pytest.raises(Undeliverable):
                first(1)
        first(4)
    with memory.share() as third:
        third(10)
