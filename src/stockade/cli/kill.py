"""``stockade kill``: end a machine at once."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from stockade.sandbox import registry


def kill(
    machine: Annotated[str, Parameter(help="Id of the machine, or the start of it.")], /
) -> int:
    """End a machine at once; the run that it belongs to ends with 137."""
    print(registry.kill(machine).id)
    return 0
