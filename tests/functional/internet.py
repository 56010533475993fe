"""The product's own internet (``stockade.selftest``), and on it the APIs of language models."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio

from stockade.selftest import internet as plain

_ROOT = Path(__file__).parents[2]
_PROGRAM = f"import sys; sys.path.insert(0, {str(_ROOT)!r}); from {__name__} import main; main()"


@contextmanager
def internet(folder: Path) -> Iterator[plain.Internet]:
    """Have it while the context lasts."""
    with plain.internet(folder, ("-c", _PROGRAM)) as running:
        yield running


def main() -> None:
    """Be that internet."""
    from tests.functional.modelapis import Anthropic, OpenAI  # noqa: PLC0415

    models = {
        "api.openai.com": ("93.184.216.40", OpenAI().app),
        "api.anthropic.com": ("93.184.216.41", Anthropic().app),
    }
    anyio.run(plain.serve, Path(sys.argv[1]), models)
