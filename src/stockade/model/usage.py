"""What one call of a language model used, and what that cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MAX_TOKENS = 10**9
"""More than any call can use; a response that tells of more is not believed."""

Tokens = Annotated[int, Field(strict=True, ge=0, le=MAX_TOKENS)]


class Usage(BaseModel):
    """Tokens and price of one call, as the provider's response tells them.

    ``model`` is the one that was asked for and allowed, ``served`` the one that the response names
    (empty if none). ``input`` counts all tokens that were read, also those from and into a cache,
    ``output`` all that were written, also those of reasoning. ``usd`` is None where the price is
    not known. A call that is not ``measured`` told nothing that can be believed: its counts are
    zero and mean nothing, and ``note`` says why. ``complete`` is false if the response broke off.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: str
    model: str
    served: str = ""
    input: Tokens = 0
    output: Tokens = 0
    cache_read: Tokens = 0
    cache_write: Tokens = 0
    reasoning: Tokens = 0
    usd: Annotated[Decimal, Field(ge=0)] | None = None
    measured: bool = True
    complete: bool = True
    note: str = ""

    @property
    def priced(self) -> bool:
        """Whether ``usd`` is known."""
        return self.usd is not None
