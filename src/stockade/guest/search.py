"""Look for text in the files below a folder, without following a link.

The question comes as JSON on standard input: ``expression`` (a regular expression), ``names`` and
``within`` (regular expressions that a file's name and its whole path must match), and ``most``
(matches). Each match is one line of JSON on standard output, at once, as an expression may never
come to an end: whoever asked ends this process then. The last line counts what was looked at and
what was not.
"""

from __future__ import annotations

import errno
import json
import os
import re
import sys

from stockade.guest import exact

TYPE_CHECKING = False  # as in typing, which costs more to import than all of this
if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_FILES = 100_000
_DEEPEST = 64  # folders in one another
_LARGEST = 4 << 20  # bytes of a file that is looked into
_BINARY = 8 << 10  # bytes in which a NUL makes a file a binary one
_SHOWN = 300  # characters of a line
_QUESTION = 1 << 20  # bytes
_HISTORY = {".git", ".hg", ".svn"}


def search(folder: bytes) -> None:
    """Answer the question that standard input holds, about the files below ``folder``."""
    with os.fdopen(0, "rb", closefd=False) as stdin:
        question = json.loads(stdin.read(_QUESTION))
    most = int(question["most"])
    expression, within = _compile(question["expression"]), re.compile(question["within"])
    names = re.compile(question["names"])
    found = files = skipped = 0
    complete = True
    for path, name, above in _walk(os.fsdecode(folder).rstrip("/"), exact.open_listed(folder)):
        if not names.fullmatch(name) or not within.fullmatch(path):
            continue
        files += 1
        if files > _MOST_FILES:
            complete = False
            break
        text = _text(name, above)
        if text is None:
            skipped += 1
            continue
        for number, line in enumerate(text.split("\n"), start=1):
            if match := expression.search(line):
                found += 1
                if found > most:
                    break
                _say({"path": path, "line": number, "text": _around(line, match.start())})
        if found > most:
            complete = False
            break
    _say({"files": files, "skipped": skipped, "complete": complete})


def _compile(expression: str) -> re.Pattern[str]:
    try:
        return re.compile(expression)
    except (re.error, OverflowError, RecursionError) as error:
        raise OSError(errno.EINVAL, f"not a regular expression: {error}"[:200]) from None


def _walk(path: str, folder: int, depth: int = 0) -> Iterator[tuple[str, str, int]]:
    """Give each regular file's path, its name, and the folder it is in, sorted; one at a time."""
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    below = []
    for entry in listed:
        if entry.is_dir(follow_symlinks=False):
            below.append(entry.name)
        elif entry.is_file(follow_symlinks=False):
            yield f"{path}/{entry.name}", entry.name, folder
    for name in below if depth < _DEEPEST else ():
        if name in _HISTORY or (not path and name in ("proc", "sys", "dev")):
            continue
        try:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            inner = os.open(name, flags, dir_fd=folder)
        except OSError:  # not ours to read, or gone
            continue
        try:
            yield from _walk(f"{path}/{name}", inner, depth + 1)
        finally:
            os.close(inner)


def _text(name: str, folder: int) -> str | None:
    """The file's text, or None for what is not looked into."""
    try:
        fd = exact.open_regular(os.fsencode(name), folder)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as file:
        if os.fstat(fd).st_size > _LARGEST:
            return None
        data = file.read(_LARGEST)
    return None if b"\0" in data[:_BINARY] else data.decode("utf-8", errors="replace")


def _around(line: str, start: int) -> str:
    """The part of a line that is shown: it holds the beginning of the match."""
    first = max(0, start - _SHOWN // 2) if len(line) > _SHOWN else 0
    return line[first : first + _SHOWN]


def _say(entry: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(entry) + "\n")
    sys.stdout.flush()
