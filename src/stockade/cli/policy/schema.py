"""``stockade policy schema``: what editors need to know of profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace

    from stockade.cli.parser import Parser


def add_arguments(_parser: Parser) -> None:
    """Declare nothing."""


def run(_arguments: Namespace) -> int:
    """Print the schema."""
    import json

    from stockade.policy.profileschema import profile_schema

    print(json.dumps(profile_schema(), indent=2))
    return 0
