"""Processes of the workload: in their group and namespace, with no privilege left.

Such a process is made ahead of the command that it becomes, a *spare*: becoming the workload's
takes longer under emulation than starting a program. The order of its steps matters: group and
namespace need root, so the user is changed after them; with it go all capabilities, and the agent
has left none in the bounding set.
"""

from __future__ import annotations

import fcntl
import marshal
import os
import signal
import termios
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from stockade.guest import files, linux

if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket

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


class Spare:
    """A process that is the workload's already, and waits to be told what to do.

    Whatever goes wrong in it is one line on standard error, and ends it with 126, or with 127 when
    it is a ``CommandNotFoundError``.
    """

    def __init__(self, context: Context) -> None:
        import socket  # noqa: PLC0415 - costs 20 ms under emulation, so not before it is needed

        self.context = context
        self._end, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            _become(context, theirs)
        theirs.close()

    def start(self, streams: Streams, order: tuple[Any, ...]) -> None:
        """Have it do what ``order`` says: the name of a deed (see ``_DEEDS``) and its arguments.

        Raises ``OSError`` if it is gone, which the workload can bring about.
        """
        import socket  # noqa: PLC0415 - see above

        # By a file, as a stopped reader of a pipe would stop the agent as well.
        words = os.memfd_create("order", os.MFD_CLOEXEC)
        try:
            os.write(words, marshal.dumps(order))
            terminal = b"t" if streams.terminal else b"-"
            socket.send_fds(self._end, [terminal], [words, *streams[:3]])
        finally:
            os.close(words)
            self._end.close()
        os.kill(self.pid, signal.SIGCONT)  # as the workload may have stopped it

    @property
    def gone(self) -> bool:
        """Whether it has ended before its time, which the workload can bring about."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def close(self) -> None:
        """Give up the link to it, as it has ended."""
        self._end.close()

    def discard(self) -> None:
        """End it unused."""
        self._end.close()
        os.kill(self.pid, signal.SIGKILL)


def execute(argv: list[bytes], env: dict[bytes, bytes], cwd: bytes) -> NoReturn:
    """Become the program ``argv`` in the folder ``cwd``.

    A program name without a slash is looked for in the command's own PATH.
    """
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


class CommandNotFoundError(Exception):
    """No file of the machine is the program that was asked for."""


def _candidates(name: bytes, path: bytes) -> list[bytes]:
    """The files that ``name`` may mean, in the order of PATH (execvp(3)).

    Not ``os.execvpe``: it imports modules, which the child can no longer find in the image's tree.
    """
    if b"/" in name:
        return [name]
    return [folder + b"/" + name for folder in path.split(b":") if folder]


_DEEDS: dict[str, Callable[..., NoReturn]] = {"exec": execute, "file": files.operate}


def _become(context: Context, end: socket) -> NoReturn:
    """Become a process of the workload, wait for the order, and do it."""
    code = NOT_EXECUTABLE
    try:
        failure: OSError | None = None
        try:
            _contain(context, end.fileno())
        except OSError as error:  # to be told where it can be heard
            failure = error
        name, arguments = _receive(end)
        if failure:
            raise failure  # noqa: TRY301 - it happened before anybody could hear of it
        _DEEDS[name](*arguments)
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


def _contain(context: Context, kept: int) -> None:
    """Give up all that is the agent's, but for the descriptor ``kept``."""
    signal.set_wakeup_fd(-1)
    context.group.join()
    linux.setns(context.namespace, linux.CLONE_NEWNS)
    # Above all the ends of other commands' pipes, which would never close.
    os.closerange(3, kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))
    os.setsid()
    os.setgroups([])
    os.setresgid(context.gid, context.gid, context.gid)
    os.setresuid(context.uid, context.uid, context.uid)
    linux.forgo_new_privileges()
    for number in _RESTORED:
        signal.signal(number, signal.SIG_DFL)


def _receive(end: socket) -> tuple[str, list[Any]]:
    """Wait for the order and take its streams; without one this is the end."""
    import socket  # noqa: PLC0415 - the agent has imported it

    terminal, descriptors, _, _ = socket.recv_fds(end, 1, 4)
    if not terminal:
        os._exit(0)
    words, *streams = descriptors
    for target, fd in enumerate(streams):  # first: from here on a failure can be heard
        os.dup2(fd, target)
    size = os.fstat(words).st_size
    name, *arguments = marshal.loads(os.pread(words, size, 0))  # noqa: S302 - the agent's own words
    if terminal == b"t":
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.closerange(3, max(descriptors) + 1)
    return name, arguments


def _report(message: str) -> None:
    line = message.encode("utf-8", errors="surrogateescape").replace(b"\n", b" ")
    os.write(2, b"stockade: " + line[:1000] + b"\n")
