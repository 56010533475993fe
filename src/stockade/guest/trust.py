"""Have the workload's programs trust the session's authority, beside those that the image trusts.

What programs of many kinds read is one file, which most Linux distributions keep at one place; the
host names it, by variables of the environment, to those that look elsewhere.
"""

from __future__ import annotations

import os

from stockade.guest import linux, rootfs

_IMAGE = "/run/lower/image"
_BUNDLE, _STORE = "etc/ssl/certs/ca-certificates.crt", "etc/ssl/certs/stockade.p12"
_FOLDER = "/run/trust"
_MOST = 8 << 20  # bytes of the image's own bundle; Debian's has 220 KB


def install(namespace: int, authority: bytes, java_store: bytes) -> None:
    """Give the workload the image's bundle with ``authority`` (PEM), and a store for Java."""
    own = _read(_BUNDLE)
    if own and not own.endswith(b"\n"):
        own += b"\n"
    linux.mount("tmpfs", _ensure(_FOLDER), "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=0755")
    files = {}
    for name, content in ((_BUNDLE, own + authority), (_STORE, java_store)):
        path = f"{_FOLDER}/{os.path.basename(name)}"
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, 0o444)
        files[f"/{name}"] = path
    rootfs.attach_files(namespace, files)


def _ensure(folder: str) -> str:
    os.makedirs(folder, exist_ok=True)
    return folder


def _read(name: str) -> bytes:
    """Read a file of the image, which is hostile; b"" if it is none, or behind a link."""
    fd = os.open(_IMAGE, os.O_PATH | os.O_CLOEXEC)
    try:
        for part in name.split("/"):
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            below = os.open(part, flags, dir_fd=fd)
            os.close(fd)
            fd = below
        content = bytearray()
        while len(content) < _MOST and (chunk := os.read(fd, 1 << 18)):
            content += chunk
        return bytes(content)
    except OSError:
        return b""
    finally:
        os.close(fd)
