"""The file tree that the workload sees, in a mount namespace of its own.

All parts are mounted first where only the agent looks (``/run``), then attached inside the new root
by descriptor after ``pivot_root``: whatever symbolic links a hostile image holds, they are resolved
inside that image and never lead into the agent's own tree.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from stockade.guest import linux

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from stockade.guest.disks import Disks

SCRATCH = "/run/scratch"
TERMINALS = "/run/pts"
_SHARED_MEMORY = "/run/shm"
_MACHINE_ID, _MACHINE_ID_PLACE = "/run/machine-id", "/etc/machine-id"
_RESOLVER, _RESOLVER_PLACE = "/run/resolv.conf", "/etc/resolv.conf"
# Any address but loopback would do: whichever is asked, the host answers (see network.py).
_RESOLVER_TEXT = "nameserver 198.18.0.1\n"
_FILES = (_MACHINE_ID_PLACE, _RESOLVER_PLACE)
_EMPTY = 1 << 20  # bytes; a size of 0 would mean no bound at all
_INERT = linux.MS_NOSUID | linux.MS_NODEV
_DEVICES = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
}
_LINKS = {
    "ptmx": "pts/ptmx",
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}


def assemble(disks: Disks) -> int:
    """Build the tree and return a descriptor of the mount namespace that has it as its root.

    Next to nothing can be written to it before ``resize``.
    """
    for path in (SCRATCH, TERMINALS, _SHARED_MEMORY):
        os.mkdir(path)
    linux.mount("tmpfs", SCRATCH, "tmpfs", _INERT, f"size={_EMPTY},mode=0755")
    linux.mount("devpts", TERMINALS, "devpts", linux.MS_NOSUID | linux.MS_NOEXEC, "ptmxmode=0666")
    linux.mount("tmpfs", _SHARED_MEMORY, "tmpfs", _INERT, f"size={_EMPTY},mode=1777")
    for path in (_MACHINE_ID, _RESOLVER):
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o444))
    linux.write_file(_RESOLVER, _RESOLVER_TEXT)
    root = _layer(disks.node("image"), "image", writable=True)
    paths = {
        "/dev/pts": TERMINALS,
        "/dev/shm": _SHARED_MEMORY,  # noqa: S108 - in the guest
        _MACHINE_ID_PLACE: _MACHINE_ID,
        _RESOLVER_PLACE: _RESOLVER,
    }
    trees = {target: linux.clone_tree(path) for target, path in paths.items()}
    return _in_new_namespace(lambda: _furnish(root, trees))


def resize(*, scratch: int, shared_memory: int) -> None:
    """Bound, in bytes, what can be written to files and to ``/dev/shm``."""
    for path, size in ((SCRATCH, scratch), (_SHARED_MEMORY, shared_memory)):
        linux.mount("tmpfs", path, "", linux.MS_REMOUNT | _INERT, f"size={size}")


def name_machine(machine_id: str) -> None:
    """Say what the workload finds in ``/etc/machine-id`` (machine-id(5))."""
    linux.write_file(_MACHINE_ID, f"{machine_id}\n")


def attach_grants(namespace: int, disks: Disks, grants: Sequence[Mapping[str, str]]) -> None:
    """Attach granted files in ``namespace``.

    Each grant names its ``disk`` (a virtio serial), its ``target`` in the workload's tree, its
    ``access``, and, when it is one file and no folder, its ``file`` name on the disk.
    """
    trees = []
    for grant in grants:
        disk = grant["disk"]
        layer = _layer(disks.node(disk), disk, writable=grant["access"] == "overlay")
        trees.append((linux.clone_tree(f"{layer}/{grant.get('file', '')}"), grant))

    def attach() -> None:
        linux.setns(namespace, linux.CLONE_NEWNS)
        os.umask(0o022)
        for tree, grant in trees:
            _attach(tree, grant["target"], is_file="file" in grant)

    _in_child(attach)
    for tree, _ in trees:
        os.close(tree)


def attach_files(namespace: int, files: Mapping[str, str]) -> None:
    """Attach single files of the agent's in ``namespace``: target to path."""
    trees = {target: linux.clone_tree(path) for target, path in files.items()}

    def attach() -> None:
        linux.setns(namespace, linux.CLONE_NEWNS)
        os.umask(0o022)
        for target, tree in trees.items():
            _attach(tree, target, is_file=True)

    _in_child(attach)
    for tree in trees.values():
        os.close(tree)


def scratch_used() -> tuple[int, int]:
    """Bytes used and bytes free on the scratch disk."""
    space = os.statvfs(SCRATCH)
    return (space.f_blocks - space.f_bfree) * space.f_frsize, space.f_bfree * space.f_frsize


def _layer(disk: str, name: str, *, writable: bool) -> str:
    """Mount an erofs disk, under a writable overlay in the scratch disk if asked; return where."""
    lower = f"/run/lower/{name}"
    os.makedirs(lower)
    linux.mount(disk, lower, "erofs", _INERT | linux.MS_RDONLY)
    if not writable:
        return lower
    upper, work, merged = (f"{SCRATCH}/{name}/{part}" for part in ("upper", "work", "merged"))
    for path in (upper, work, merged):
        os.makedirs(path)
    # The merged root takes owner and mode from the upper layer, which must look like the lower.
    owner = os.stat(lower)
    os.chown(upper, owner.st_uid, owner.st_gid)
    os.chmod(upper, owner.st_mode & 0o7777)
    os.utime(upper, ns=(owner.st_atime_ns, owner.st_mtime_ns))
    linux.mount(
        "overlay", merged, "overlay", _INERT, f"lowerdir={lower},upperdir={upper},workdir={work}"
    )
    return merged


def _in_new_namespace(furnish: Callable[[], None]) -> int:
    """Run ``furnish`` in a child with a mount namespace of its own; return the namespace."""

    def body() -> None:
        linux.unshare(linux.CLONE_NEWNS)
        linux.mount("none", "/", "", linux.MS_REC | linux.MS_PRIVATE)
        furnish()

    return _in_child(body, lambda pid: os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC))


def _in_child(body: Callable[[], None], look: Callable[[int], int] = lambda _pid: 0) -> int:
    """Run ``body`` in a child, ``look`` at the child by its process id, and let it end."""
    report_read, report_write = os.pipe()
    release_read, release_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        message = b"ok"
        try:
            body()
        except BaseException as error:  # noqa: BLE001 - the parent must hear of everything
            message = str(error).encode(errors="replace") or b"failed"
        os.write(report_write, message)
        os.close(release_write)
        os.read(release_read, 1)
        os._exit(0)
    message = os.read(report_read, 4096)
    seen = look(pid)
    for fd in (report_read, report_write, release_read, release_write):
        os.close(fd)
    if message != b"ok":
        raise OSError(message.decode(errors="replace"))
    return seen


def _furnish(root: str, trees: Mapping[str, int]) -> None:
    os.chdir(root)
    # pivot_root(".", ".") puts the old root on top of the new one, where it is then unmounted:
    # no directory of the image is needed for it. See pivot_root(2), NOTES.
    linux.pivot_root(".", ".")
    linux.unmount(".")
    os.chdir("/")
    os.umask(0)
    for path in ("/proc", "/sys", "/dev", "/tmp"):  # noqa: S108 - in the guest
        os.makedirs(path, exist_ok=True)
    # hidepid: the workload sees its own processes, not the agent's and the kernel's.
    linux.mount("proc", "/proc", "proc", _INERT | linux.MS_NOEXEC, "hidepid=invisible")
    linux.mount("sysfs", "/sys", "sysfs", _INERT | linux.MS_NOEXEC | linux.MS_RDONLY)
    _devices()
    os.umask(0o022)
    for target, tree in trees.items():
        _attach(tree, target, is_file=target in _FILES)


def _devices() -> None:
    linux.mount("tmpfs", "/dev", "tmpfs", linux.MS_NOSUID | linux.MS_NOEXEC, "size=64k,mode=0755")
    for name, (major, minor) in _DEVICES.items():
        os.mknod(f"/dev/{name}", 0o666 | 0o020000, os.makedev(major, minor))
    for name, target in _LINKS.items():
        os.symlink(target, f"/dev/{name}")


def _attach(tree: int, target: str, *, is_file: bool) -> None:
    if is_file:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if not os.path.lexists(target):
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    else:
        os.makedirs(target, exist_ok=True)
    linux.attach_tree(tree, target)
    os.close(tree)
