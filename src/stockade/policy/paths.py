"""Paths in the machine, as an agent writes them and as the machine says where they lead."""

from __future__ import annotations

from stockade.model.wording import quote
from stockade.policy.refusal import Refused

MAX_PATH = 4096
"""Bytes, as Linux has it (limits.h: PATH_MAX)."""
_MAX_NAME = 255
_KERNEL = frozenset({"proc", "sys", "dev"})
_WHOLE = "Write the whole path, such as /workspace/app.py."


def clean_path(text: str) -> str:
    """Give ``text`` without ``.``, ``..`` and doubled slashes; ``Refused`` if it is no clear path.

    ``..`` is taken out of the text alone, as if there were no links. Where links lead is another
    path, which the machine tells and which must be clean as well. Below ``/proc``, ``/sys`` and
    ``/dev`` lie doors out of any folder (``/proc/self/root``), so nothing there is a path.
    """
    _check_text(text)
    segments: list[str] = []
    for segment in text.split("/"):
        if len(segment.encode()) > _MAX_NAME:
            raise Refused(f"a path with a name of more than {_MAX_NAME} bytes")
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    if segments and segments[0] in _KERNEL:
        raise Refused(f"{quote(text)}, which is in /{segments[0]}, the kernel's own")
    return "/" + "/".join(segments)


def _check_text(text: str) -> None:
    if not text:
        raise Refused("an empty path", _WHOLE)
    # Before anything that takes time with the length.
    if len(text) > MAX_PATH:
        raise Refused(f"a path of more than {MAX_PATH} bytes")
    if not text.startswith("/"):
        raise Refused(f"{quote(text)}, which is not absolute", _WHOLE)
    if any(_control(character) for character in text):
        raise Refused(f"{quote(text)}, which has control characters")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise Refused(f"{quote(text)}, which is not valid Unicode text") from None
    if size > MAX_PATH:
        raise Refused(f"a path of more than {MAX_PATH} bytes")


def _control(character: str) -> bool:
    return character < " " or "\x7f" <= character <= "\x9f" or character in "\u2028\u2029"
