"""How a server that is reached by URL is spoken to: by a relay that runs inside the wall.

The relay posts each line it reads and writes each answer as a line (MCP's streamable HTTP to its
stdio transport). So nothing of the stranger's HTTP is parsed on the host, and what the machine
cannot reach, the relay cannot.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files


def relay_command(url: str) -> tuple[str, ...]:
    """The command that relays to ``url``; it needs Python in the image."""
    return ("python3", "-u", "-c", _source(), url)


@cache
def _source() -> str:
    return files("stockade.tools.mcp").joinpath("relay_program.py").read_text()
