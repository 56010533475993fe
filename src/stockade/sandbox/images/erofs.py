"""Pack a directory into an erofs image: read-only, deterministic, mountable by any Linux since 5.4.

The same tree always gives the same bytes: the identifier and creation time are fixed, names are
sorted by mkfs.erofs, and extended attributes (host labels, ACLs) are left out. File times are kept,
for a changed time would make every .pyc stale and cost the guest seconds.

What happens to each kind of file:

* regular files, directories, hard links: as they are, with mode, owner (or ``owner``) and time;
* symbolic links: as they are, never followed, wherever they point;
* sparse files: holes cost no space in the image; their apparent size counts towards ``limit``;
* FIFOs, sockets and device nodes: recorded as such and never opened. The guest mounts every image
  ``nodev``, so a device node there is inert;
* names of 255 bytes, and paths that come to 4096 bytes: refused; mkfs.erofs 1.5 cannot read them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from typing import TYPE_CHECKING

from anyio import to_thread

from stockade.model.errors import ImageError
from stockade.sandbox.images.programs import Finished, clean_env, failure, no_space, run
from stockade.sandbox.images.tree import first_unreadable, survey

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

PACKAGE = "erofs-utils"
DEFAULT_LIMIT = 16 * 1024**3

# Fixed, so that equal trees give equal images. mkfs.erofs writes SOURCE_DATE_EPOCH as the creation
# time but also lowers every later file time to it, hence a date in the far future.
_UUID = "73746f63-6b61-4465-8000-000000000000"
FAR_FUTURE = str(2**40)

# Without chunks mkfs.erofs 1.5 writes holes out as zeros; with them equal chunks are stored once.
_CHUNK_SIZE = 64 * 1024


async def pack(
    tree: Path,
    target: int | Path,
    *,
    owner: tuple[int, int] | None = None,
    compress: bool = False,
    exclude: Collection[str | bytes] = (),
    limit: int = DEFAULT_LIMIT,
) -> int:
    """Write ``tree`` as an erofs image to ``target`` and return the image's size in bytes.

    ``target`` is a path, or the descriptor of an open file, which may be an anonymous one
    (``O_TMPFILE``, memfd) so that the image never has a name. ``owner`` is the (uid, gid) that
    every file gets. ``exclude`` names paths relative to ``tree``, left out with all below them.
    """
    excluded = frozenset(os.fsencode(path).strip(b"/") for path in exclude)
    found = await to_thread.run_sync(survey, tree, excluded, limit)
    options = command_options(owner=owner, compress=compress, sparse=found.sparse)
    options += [b"--exclude-path=" + path for path in sorted(excluded)]
    if isinstance(target, int):
        os.ftruncate(target, 0)
        argv = ["mkfs.erofs", *options, f"/proc/self/fd/{target}", tree]
        finished = await run(argv, package=PACKAGE, env=_env(), pass_fds=[target])
        if finished.returncode == 0:
            return os.fstat(target).st_size
    else:
        with _removed_on_failure(target):
            argv = ["mkfs.erofs", *options, target, tree]
            finished = await run(argv, package=PACKAGE, env=_env())
            if finished.returncode == 0:
                return (await to_thread.run_sync(target.stat)).st_size
            raise await to_thread.run_sync(_explain, finished, tree, excluded)
    raise await to_thread.run_sync(_explain, finished, tree, excluded)


@contextlib.contextmanager
def _removed_on_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def command_options(
    *, owner: tuple[int, int] | None = None, compress: bool = False, sparse: bool = False
) -> list[str | bytes]:
    """Return the options of mkfs.erofs that make an image deterministic."""
    options: list[str | bytes] = ["--quiet", "-d1", "-x-1", f"-U{_UUID}"]
    if owner is not None:
        options += [f"--force-uid={owner[0]}", f"--force-gid={owner[1]}"]
    if compress:
        options.append("-zlz4")
    elif sparse:
        # Compression deals with holes by itself, and the two options exclude each other.
        options.append(f"--chunksize={_CHUNK_SIZE}")
    return options


def _env() -> dict[str, str]:
    return clean_env(SOURCE_DATE_EPOCH=FAR_FUTURE)


def _explain(finished: Finished, tree: Path, excluded: frozenset[bytes]) -> ImageError:
    """Say what went wrong and with which file; mkfs.erofs itself gives no more than an errno."""
    doing = f"pack {tree}"
    match = re.search(r"\[Error (\d+)\]", finished.stderr)
    number = int(match[1]) if match else 0
    if number in {errno.ENOSPC, errno.EDQUOT}:
        return no_space(doing)
    if number in {errno.EACCES, errno.EPERM}:
        with contextlib.suppress(OSError):
            if path := first_unreadable(tree, excluded):
                return ImageError(
                    f"cannot {doing}: no permission to read {os.fsdecode(path)!r}",
                    hint="Make it readable for this user, or leave it out.",
                )
        return ImageError(f"cannot {doing}: no permission", hint="Check who owns its files.")
    if number in {errno.ENOENT, errno.EIO, errno.ESTALE, errno.ENOTDIR}:
        return ImageError(
            f"cannot {doing}: a file changed or vanished while it was read",
            hint="Stop what writes there, then try again.",
        )
    return failure(finished, doing=doing)
