"""The confinement of a hypervisor's process: what is left to a guest that has taken QEMU over.

bubblewrap gives it namespaces of its own for files, processes, network, IPC and host name; it sees
its program, the libraries and its own files, read-only, and no shell. As root a made-up user id of
its own is added, so that two machines cannot touch each other; an ordinary user keeps the own id
inside a user namespace. It dies with Stockade: bubblewrap's own process has a parent-death signal,
and the jail's first process with it, which ends all others there.
"""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from stockade.model.errors import MissingToolError

# systemd leaves this range of user ids unused (https://systemd.io/UIDS-GIDS/).
_FIRST_UID, _UIDS = 0x7000_0000, 1 << 28
_LIBRARIES = ("/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec")
_MERGED = ("/lib", "/lib32", "/lib64")
# Enter the groups named up to "--", bound what rlimits can bound, and become the jail.
# No core dump can carry guest memory away, no file can be written, few can be open.
_ENTER = (
    'while [ "$1" != -- ]; do echo 0 >"$1" || exit 125; shift; done; shift; '
    'ulimit -c 0; ulimit -f 0; ulimit -n 256; exec "$@"'
)


@dataclass(frozen=True)
class Jail:
    """What the confined program sees of the host's files.

    ``files`` maps host paths to paths in the jail, read-only; ``devices`` are device nodes it may
    use. ``entrances`` are
    cgroup.procs files; ``info_fd`` gets bubblewrap's JSON with the process id of the jail's first
    process (bwrap(1), ``--info-fd``); ``filter_fd``, if it is one, has the system call filter of
    the program (``--seccomp``).
    """

    program: Path
    folders: tuple[Path, ...] = ()
    files: dict[Path, str] = field(default_factory=dict)
    devices: tuple[Path, ...] = ()

    def command(
        self,
        arguments: list[str],
        *,
        entrances: list[Path],
        info_fd: int,
        filter_fd: int | None = None,
    ) -> list[str]:
        """The command line that runs the program with ``arguments`` inside the jail."""
        return [
            *("/bin/sh", "-c", _ENTER, "jail", *map(str, entrances), "--"),
            *(_find("bwrap", "bubblewrap"), "--die-with-parent", "--new-session"),
            *("--info-fd", str(info_fd)),
            *(() if filter_fd is None else ("--seccomp", str(filter_fd))),
            *("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"),
            *("--unshare-cgroup-try", "--hostname", "machine", "--clearenv"),
            *self._view(),
            *_drop_privileges(self.devices),
            str(self.program),
            *arguments,
        ]

    def _view(self) -> list[str]:
        setpriv = [] if os.geteuid() else [_find("setpriv", "util-linux")]
        shown = {
            **{host: str(host) for host in map(Path, _LIBRARIES) if host.is_dir()},
            **{host: str(host) for host in (*self.folders, self.program, *map(Path, setpriv))},
            **self.files,
        }
        options = ["--proc", "/proc", "--dev", "/dev"]
        # bubblewrap makes missing parents for its own user only, who is not who will look there.
        for folder in sorted({str(up) for path in shown.values() for up in Path(path).parents}):
            options += ["--perms", "0755", "--dir", folder]
        for host, inside in shown.items():
            options += ["--ro-bind", str(host), inside]
        for link in map(Path, _MERGED):
            if link.is_symlink():
                options += ["--symlink", str(link.readlink()), str(link)]
            elif link.is_dir():
                options += ["--ro-bind", str(link), str(link)]
        for device in self.devices:
            options += ["--dev-bind", str(device), str(device)]
        if os.geteuid() != 0:
            options += ["--unshare-user", "--cap-drop", "ALL"]
        return [*options, "--remount-ro", "/", "--"]


def _drop_privileges(devices: tuple[Path, ...]) -> list[str]:
    """As root, become a user that nobody is; otherwise bubblewrap has dropped all there was.

    The only groups kept are those that own the devices, as ``kvm`` owns ``/dev/kvm``.
    """
    if os.geteuid() != 0:
        return []
    uid = _FIRST_UID + secrets.randbelow(_UIDS)
    groups = ",".join(sorted({str(device.stat().st_gid) for device in devices} - {"0"}))
    return [
        *(_find("setpriv", "util-linux"), f"--reuid={uid}", f"--regid={uid}"),
        f"--groups={groups}" if groups else "--clear-groups",
        *("--no-new-privs", "--inh-caps=-all", "--bounding-set=-all", "--"),
    ]


def _find(program: str, package: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise MissingToolError(f"{program} is not installed", hint=f"Run: apt install {package}")
    return found
