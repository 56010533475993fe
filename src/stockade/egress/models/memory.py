"""How much of requests and answers is held in memory, by all of them together."""

from __future__ import annotations

from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

from stockade.egress.courier.problems import Undeliverable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_HELD = 256 * 1024 * 1024


class Memory:
    """Bytes that may be held at a time."""

    def __init__(self, most: int = MAX_HELD) -> None:
        self._left = most

    @contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """Give what takes a number of bytes until the context ends.

        It raises Undeliverable when there is no room for them.
        """
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            if size > self._left:
                raise Undeliverable(
                    HTTPStatus.SERVICE_UNAVAILABLE, "too much is on its way to be held"
                )
            self._left -= size
            taken += size

        try:
            yield take
        finally:
            self._left += taken
