"""All tools of Stockade's own, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stockade.tools import read_file

if TYPE_CHECKING:
    from stockade.tools.tool import Tool

TOOLS: Final[dict[str, Tool]] = {tool.name: tool for tool in (read_file.TOOL,)}
"""The same names as in ``stockade.model.tools.BUILT_IN``."""
