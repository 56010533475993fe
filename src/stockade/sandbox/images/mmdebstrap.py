"""Build Debian trees with mmdebstrap, as root or as an ordinary user alike.

Always in mmdebstrap's "unshare" mode: mounts live in a namespace of their own and vanish with it,
however the build ends, and an ordinary user needs no more than subordinate user ids. The tree then
belongs to users that exist only in that namespace, so it is packed in there too, by a hook: a shell
script that gets the tree as ``$1`` and the outputs as open files, ``/proc/self/fd/$NAME``.
"""

from __future__ import annotations

import os
import platform
import pwd
import re
import subprocess
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from stockade.model.errors import ImageError
from stockade.sandbox.images.apt import RELEASE, host_sources
from stockade.sandbox.images.cache import disk_errors, remove_tree, scratch_directory
from stockade.sandbox.images.programs import Finished, clean_env, failure, find_program, run
from stockade.sandbox.images.stages import Stages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stockade.sandbox.images.locks import Lock
    from stockade.sandbox.images.progress import Progress

ARCHITECTURE = "amd64"

# Not even unpacked, as no guest needs it. Copyright files stay.
_LEFT_OUT = (
    "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/lintian/*",
    "/usr/share/doc/*", "/usr/share/doc-base/*", "/usr/share/bug/*",
)  # fmt: skip
_KEPT = ("/usr/share/doc/*/copyright",)
_UNREACHABLE = re.compile(
    r"Could not resolve|Temporary failure|Could not connect|Unable to connect"
)


@dataclass(frozen=True)
class Recipe:
    """What mmdebstrap is to build.

    ``hook_stage`` is ``extract`` for the variant of that name, which only unpacks packages, and
    otherwise ``customize``. ``variables`` are for the hook.
    """

    variant: str
    packages: Sequence[str]
    hook_stage: str
    hook: str
    lock: Lock
    variables: Mapping[str, str] = field(default_factory=dict)


async def bootstrap(recipe: Recipe, outputs: Mapping[str, IO[bytes]], progress: Progress) -> None:
    """Build ``recipe``; its hook writes ``outputs``, each named by the variable of that name.

    The locked versions are asked for first. If they no longer fit together on the mirror, the
    build is done again with the versions that the mirror has.
    """
    check_host()
    finished = await _attempt(recipe, outputs, progress, recipe.lock.preferences())
    if finished.returncode != 0 and "unmet dependencies" in finished.stderr:
        progress.warn("the locked package versions no longer fit together; using current ones")
        finished = await _attempt(recipe, outputs, progress, "")
    if finished.returncode != 0:
        raise explain(finished)


def check_host() -> None:
    """Raise if this user cannot build here, with what to do about it."""
    if platform.machine() not in {"x86_64", "AMD64"}:
        raise ImageError(
            f"cannot build a Debian image on a {platform.machine()} machine",
            hint="Build on x86_64, or bring an image with dir: or oci:.",
        )
    find_program("mmdebstrap", package="mmdebstrap")
    find_program("mkfs.erofs", package="erofs-utils")
    if os.geteuid() != 0:
        find_program("newuidmap", package="uidmap")
        user = pwd.getpwuid(os.geteuid()).pw_name
        for kind in ("uid", "gid"):
            if not _has_subordinates(Path(f"/etc/sub{kind}"), user):
                raise ImageError(
                    f"cannot build a Debian image: {user} has no subordinate {kind}s",
                    hint="Run as root: usermod --add-subuids 100000-165535"
                    f" --add-subgids 100000-165535 {user}",
                )


def explain(finished: Finished) -> ImageError:
    """Describe a failed build in one line: the first error is the cause, the rest its effects."""
    doing = "build from Debian packages"
    errors = re.findall(r"^E: (.*\S)", finished.stderr, re.MULTILINE)
    if _UNREACHABLE.search(finished.stderr):
        return ImageError(
            f"cannot {doing}: the Debian mirror cannot be reached",
            hint="Check this machine's network, proxy settings and apt sources.",
        )
    if not errors or "No space left on device" in finished.stderr:
        return failure(finished, doing=doing)
    return ImageError(f"cannot {doing}: {errors[0][:300]}")


async def _attempt(
    recipe: Recipe, outputs: Mapping[str, IO[bytes]], progress: Progress, preferences: str
) -> Finished:
    stages = Stages(progress, packages=len(recipe.lock.versions))
    with ExitStack() as stack:
        pins = stack.enter_context(tempfile.TemporaryFile())
        pins.write(preferences.encode())
        pins.flush()
        for file in outputs.values():
            os.ftruncate(file.fileno(), 0)
        files = {"PINS": pins, **outputs}
        for file in files.values():
            # The hook opens it again through /proc, perhaps under another user id.
            os.fchmod(file.fileno(), 0o666)
        async with scratch_directory(_world_reachable(), remove=_remove_foreign) as scratch:
            scratch.chmod(0o1777)
            env = clean_env(
                **recipe.variables,
                **{name: str(file.fileno()) for name, file in files.items()},
                TMPDIR=str(scratch),
                SOURCE_DATE_EPOCH=str(recipe.lock.epoch),
                PYTHONHASHSEED="0",
            )
            return await run(
                _command(recipe) + await host_sources(),
                package="mmdebstrap",
                env=env,
                pass_fds=[file.fileno() for file in files.values()],
                on_line=stages.line,
            )


def _command(recipe: Recipe) -> list[str]:
    left_out = [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT]
    kept = [f"--dpkgopt=path-include={pattern}" for pattern in _KEPT]
    return [
        "mmdebstrap",
        "--verbose",
        "--mode=unshare",
        "--format=null",
        f"--architectures={ARCHITECTURE}",
        f"--variant={recipe.variant}",
        f"--include={','.join(recipe.packages)}",
        # Nothing in a guest is ever mounted from these; and package lists in other languages are
        # downloads that nobody reads.
        '--aptopt=Acquire::Languages "none"',
        *left_out,
        *kept,
        '--setup-hook=cat "/proc/self/fd/$PINS" > "$1/etc/apt/preferences.d/stockade"',
        f"--{recipe.hook_stage}-hook={recipe.hook}",
        RELEASE,
        "/dev/null",
    ]


def _world_reachable() -> Path:
    """Return our directory in /var/tmp: on disk, and open to the namespace's users.

    A home directory is usually closed to them. The name is one that others could have taken.
    """
    path = Path(f"/var/tmp/stockade-{os.geteuid()}")  # noqa: S108 - the owner is checked
    with disk_errors(path):
        path.mkdir(mode=0o711, exist_ok=True)
        found = path.lstat()
    if path.is_symlink() or found.st_uid != os.geteuid():
        raise ImageError(f"{path} belongs to somebody else", hint="Remove it as root.")
    path.chmod(0o711)
    return path


def _remove_foreign(path: Path) -> None:
    """Remove a tree that may belong to subordinate users, as one does when mmdebstrap is killed."""
    remove_tree(path)
    if path.exists() and os.geteuid() != 0:
        mmdebstrap = find_program("mmdebstrap", package="mmdebstrap")
        subprocess.run(  # run only after a crash, and in a thread
            [mmdebstrap, "--unshare-helper", "rm", "-rf", "--", str(path)],
            check=False,
            capture_output=True,
            timeout=60,
        )
        remove_tree(path)


def _has_subordinates(file: Path, user: str) -> bool:
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return False
    return any(line.split(":")[0] in {user, str(os.geteuid())} for line in lines)
