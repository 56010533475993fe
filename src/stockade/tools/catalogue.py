"""All tools of Stockade's own, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stockade.tools import (
    edit_file,
    git_diff,
    git_log,
    git_status,
    list_files,
    make_patch,
    read_file,
    run_command,
    run_tests,
    search_files,
    write_file,
)

if TYPE_CHECKING:
    from stockade.tools.tool import Tool

_MODULES = (
    read_file,
    write_file,
    edit_file,
    list_files,
    search_files,
    run_command,
    run_tests,
    git_status,
    git_diff,
    git_log,
    make_patch,
)

TOOLS: Final[dict[str, Tool]] = {module.TOOL.name: module.TOOL for module in _MODULES}
"""The same names as in ``stockade.model.tools.BUILT_IN``."""
