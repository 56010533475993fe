"""Start one process of the workload: in its group and namespace, with no privilege left.

The order of the child's steps matters: group and namespace need root, so the user is changed after
them; privileges are forgone last, when nothing needs them any more.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import termios
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from stockade.guest import linux

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.guest.cgroups import Group

NOT_FOUND, NOT_EXECUTABLE = 127, 126  # as POSIX shells have it (XCU 2.8.2)
_RESTORED = (signal.SIGPIPE, signal.SIGCHLD, signal.SIGINT, signal.SIGTERM)


class Context(NamedTuple):
    """Where a process runs: mount namespace (descriptor), user and group ids, cgroup."""

    namespace: int
    uid: int
    gid: int
    group: Group


class Streams(NamedTuple):
    """Descriptors that become 0, 1 and 2 of the process, and whether they are a terminal."""

    stdin: int
    stdout: int
    stderr: int
    terminal: bool = False


def spawn(context: Context, streams: Streams, body: Callable[[], None]) -> int:
    """Fork a contained child that runs ``body`` and then ends; return its process id.

    An ``OSError`` that ``body`` lets through is written to standard error as one line, and the
    child ends with 127 if something was not found, else 126.
    """
    pid = os.fork()
    if pid:
        return pid
    code = NOT_EXECUTABLE
    try:
        context.group.join()
        linux.setns(context.namespace, linux.CLONE_NEWNS)
        _take(streams)
        os.setgroups([])
        os.setresgid(context.gid, context.gid, context.gid)
        os.setresuid(context.uid, context.uid, context.uid)
        linux.forgo_privileges()
        for number in _RESTORED:
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        body()
        code = 0
    except OSError as error:
        code = NOT_FOUND if error.errno == errno.ENOENT else NOT_EXECUTABLE
        subject = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        os.write(2, f"stockade: {subject}{error.strerror}\n".encode(errors="surrogateescape"))
    finally:
        os._exit(code)


def execute(argv: list[bytes], env: dict[bytes, bytes], cwd: bytes) -> Callable[[], NoReturn]:
    """Make a body that replaces the child by the program ``argv`` in the folder ``cwd``.

    A program name without a slash is looked for in the command's own PATH.
    """

    def body() -> NoReturn:
        try:
            os.chdir(cwd)
        except OSError as error:
            raise OSError(
                error.errno, f"cannot enter the working directory: {error.strerror}", cwd
            ) from None
        try:
            os.execvpe(argv[0], argv, env)
        except OSError as error:
            raise OSError(error.errno, _why(argv[0], error), argv[0]) from None

    return body


def _why(program: str, error: OSError) -> str:
    if error.errno == errno.ENOENT and "/" not in program:
        return "no such command in the machine's PATH"
    return f"cannot execute: {error.strerror}"


def _take(streams: Streams) -> None:
    """Make the streams 0, 1 and 2, a session leader's terminal if they are one, and drop the rest."""
    os.setsid()
    if streams.terminal:
        fcntl.ioctl(streams.stdin, termios.TIOCSCTTY, 0)
    for target, fd in enumerate(streams[:3]):
        os.dup2(fd, target)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
