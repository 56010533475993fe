"""``oci:REF``: an image from an OCI image layout on disk, or from a registry.

skopeo fetches, umoci unpacks; layers, whiteouts and hostile paths in them are its business. What
the image says about environment and working directory is kept. As with ``dir:``, an ordinary
user's build gives every file to root.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import stat
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from anyio import to_thread

from stockade.model.errors import ImageError
from stockade.sandbox.images.erofs import pack
from stockade.sandbox.images.manifest import ImageFacts
from stockade.sandbox.images.programs import check
from stockade.sandbox.images.progress import Part
from stockade.sandbox.images.tree import walk

if TYPE_CHECKING:
    from stockade.sandbox.images.progress import Progress

_VERSION = 1
_TAG = "latest"
_FOLDERS = "/proc/self/fd"
_CONFIG_LIMIT = 4 << 20  # bytes of the runtime configuration that umoci writes


class OciImage:
    """An image by reference: ``FOLDER[:TAG]`` if there is such a layout, else a registry's name."""

    def __init__(self, ref: str) -> None:
        self._ref = ref
        self._layout, self._tag = _split(ref)

    @property
    def name(self) -> str:
        """``oci:`` and the reference, as the user wrote it."""
        return f"oci:{self._ref}"

    async def key(self) -> str:
        """Return the fingerprint of a layout's index, or of the reference alone.

        What a registry has under a name is not asked for each run: ``image build --rebuild`` does.
        """
        index = b""
        if self._layout is not None:
            try:
                index = await to_thread.run_sync((self._layout / "index.json").read_bytes)
            except OSError as error:
                raise ImageError(f"image {self.name}: {error.strerror}: index.json") from None
        facts = f"{_VERSION} {self._layout} {self._tag} {self._ref} {os.geteuid() == 0}"
        return hashlib.sha256(facts.encode(errors="surrogateescape") + index).hexdigest()

    async def build(self, target: Path, scratch: Path, progress: Progress) -> ImageFacts:
        """Copy the image into a layout of our own, unpack it, and pack the tree."""
        layout, bundle = scratch / "layout", scratch / "bundle"
        layout.mkdir()
        rootless = [] if os.geteuid() == 0 else ["--rootless"]
        with ExitStack() as stack:
            # To both programs a path ends at its first colon, hence paths that have none.
            copied = self._open(layout, stack)
            source, files = f"docker://{self._ref}", [copied]
            if self._layout is not None:
                files.append(self._open(self._layout, stack))
                source = f"oci:{_FOLDERS}/{files[-1]}:{self._tag}"
            progress.stage(f"copying {self.name}", 0.05)
            await check(
                ["skopeo", "copy", "--quiet", source, f"oci:{_FOLDERS}/{copied}:{_TAG}"],
                package="skopeo",
                doing=f"copy image {self.name}",
                pass_fds=files,
            )
            progress.stage(f"unpacking {self.name}", 0.5)
            await check(
                ["umoci", "unpack", *rootless, "--image", f"{_FOLDERS}/{copied}:{_TAG}", bundle],
                package="umoci",
                doing=f"unpack image {self.name}",
                pass_fds=[copied],
            )
        if rootless:
            await to_thread.run_sync(_open_up, bundle / "rootfs")
        Part(progress, 0.8, 1.0).stage(f"packing {self.name}", None)
        await pack(bundle / "rootfs", target, owner=(0, 0) if rootless else None)
        return await to_thread.run_sync(_facts, bundle / "config.json")

    def _open(self, folder: Path, stack: ExitStack) -> int:
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise ImageError(f"image {self.name}: {error.strerror}: {folder}") from None
        stack.callback(os.close, descriptor)
        return descriptor


def _split(ref: str) -> tuple[Path | None, str]:
    """Tell a layout on disk, with its tag, from a registry's name."""
    path, colon, tag = ref.rpartition(":")
    try:
        for folder, name in ((ref, _TAG), (path, tag)):
            if folder and (Path(folder) / "index.json").is_file() and (colon or name == _TAG):
                return Path(folder).absolute(), name
    except OSError as error:
        raise ImageError(f"image oci:{ref}: {error.strerror}") from None
    if ref.startswith(("/", "./", "../")):
        raise ImageError(
            f"image oci:{ref}: no OCI layout is there", hint="Write oci:FOLDER:TAG of a layout."
        )
    return None, ""


def _open_up(tree: Path) -> None:
    """Let this user read what it unpacked, such as an ``/etc/shadow`` that is closed to all.

    In the guest it is root's, who may read it whatever its mode.
    """
    tree.chmod(stat.S_IMODE(tree.stat().st_mode) | 0o500)
    for path, found in walk(tree):
        wanted = {stat.S_IFDIR: 0o500, stat.S_IFREG: 0o400}.get(stat.S_IFMT(found.st_mode), 0)
        if found.st_mode & wanted != wanted:
            mode = stat.S_IMODE(found.st_mode) | wanted
            os.chmod(os.path.join(os.fsencode(tree), path), mode)  # noqa: PTH101, PTH118 - bytes


def _facts(config: Path) -> ImageFacts:
    """Take environment and working directory from the runtime configuration (OCI runtime-spec)."""
    try:
        with config.open("rb") as file:
            process = json.loads(file.read(_CONFIG_LIMIT)).get("process", {})
        pairs = (entry.partition("=") for entry in process.get("env", []))
        env = {name: value for name, equals, value in pairs if name and equals}
        return ImageFacts(env=env, workdir=posixpath.join("/", process.get("cwd") or ""))
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ImageError(f"the image's configuration cannot be read: {error}") from None
