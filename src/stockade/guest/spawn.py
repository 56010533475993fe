"""Start one process of the workload: in its group and namespace, with no privilege left.

The order of the child's steps matters: group and namespace need root, so the user is changed after
them; with it go all capabilities, and the agent has left none in the bounding set.
"""

from __future__ import annotations

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
_RESTORED = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGINT, signal.SIGTERM)


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

    Whatever goes wrong before ``body`` has taken over is one line on standard error, and ends the
    child with 126, or with 127 when it is a ``CommandNotFoundError``.
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
        linux.forgo_new_privileges()
        for number in _RESTORED:
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        body()
        code = 0
    except CommandNotFoundError as error:
        code = NOT_FOUND
        _report(str(error))
    except OSError as error:
        subject = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        _report(f"{subject}{error.strerror}")
    except BaseException as error:  # noqa: BLE001 - a child that fails silently helps nobody
        _report(f"cannot start the command: {error!r}")
    finally:
        os._exit(code)


def execute(argv: list[bytes], env: dict[bytes, bytes], cwd: bytes) -> Callable[[], NoReturn]:
    """Make a body that replaces the child by the program ``argv`` in the folder ``cwd``.

    A program name without a slash is looked for in the command's own PATH.
    """

    def body() -> NoReturn:
        os.chdir(cwd)
        refused: OSError | None = None
        for program in _candidates(argv[0], env.get(b"PATH", b"")):
            try:
                os.execve(program, argv, env)  # noqa: S606 - no shell is the point
            except (FileNotFoundError, NotADirectoryError):
                continue
            except PermissionError as error:  # another folder of PATH may have one that may run
                refused = error
        if refused:
            raise refused
        where = "such file" if b"/" in argv[0] else "such command in the machine's PATH"
        raise CommandNotFoundError(f"{os.fsdecode(argv[0])}: no {where}")

    return body


class CommandNotFoundError(Exception):
    """No file of the machine is the program that was asked for."""


def _candidates(name: bytes, path: bytes) -> list[bytes]:
    """The files that ``name`` may mean, in the order of PATH (execvp(3)).

    Not ``os.execvpe``: it imports modules, which the child can no longer find in the image's tree.
    """
    if b"/" in name:
        return [name]
    return [folder + b"/" + name for folder in path.split(b":") if folder]


def _report(message: str) -> None:
    line = message.encode("utf-8", errors="surrogateescape").replace(b"\n", b" ")
    os.write(2, b"stockade: " + line[:1000] + b"\n")


def _take(streams: Streams) -> None:
    """Make the streams 0, 1 and 2, a new session's terminal if they are one; drop the rest."""
    os.setsid()
    if streams.terminal:
        fcntl.ioctl(streams.stdin, termios.TIOCSCTTY, 0)
    for target, fd in enumerate(streams[:3]):
        os.dup2(fd, target)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
