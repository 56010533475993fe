from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.model.errors import ImageError, MissingToolError
from stockade.sandbox.images.locks import Lock
from stockade.sandbox.images.mmdebstrap import Recipe, bootstrap, check_host, explain
from stockade.sandbox.images.programs import Finished
from stockade.sandbox.images.progress import Progress, Silent

LOCK = Lock({"bash": "5.2", "git": "2.39"}, epoch=1_700_000_000)

# The real thing needs a network and a minute. This one does what it is told to with hooks alone.
_MMDEBSTRAP = """
root=$(mktemp -d)
mkdir -p "$root/etc/apt/preferences.d"
for argument; do
    case $argument in
        --setup-hook=*|--customize-hook=*) sh -c "${argument#*-hook=}" sh "$root" || exit 1;;
    esac
done
"""
_HOOK = 'echo "made in $GREETING" > "/proc/self/fd/$OUTPUT"'


@dataclass
class Build:
    """One build by the stand-in, and what it wrote."""

    recipe: Recipe
    output: IO[bytes]

    def run(self, progress: Progress | None = None) -> str:
        outputs = {"OUTPUT": self.output}
        anyio.run(lambda: bootstrap(self.recipe, outputs, progress or Silent()))
        self.output.seek(0)
        return self.output.read().decode()


@pytest.fixture
def build(program: Callable[[str, str], Path]) -> Iterator[Build]:
    program("mmdebstrap", _MMDEBSTRAP)
    recipe = Recipe(
        variant="minbase",
        packages=("bash", "git"),
        hook_stage="customize",
        hook=_HOOK,
        lock=LOCK,
        variables={"GREETING": "a test"},
    )
    with ExitStack() as stack:
        yield Build(recipe, stack.enter_context(tempfile.TemporaryFile()))


def test_the_hook_writes_the_outputs(build: Build) -> None:
    assert build.run() == "made in a test\n"


def test_what_was_in_an_output_before_is_gone(build: Build) -> None:
    build.output.write(b"x" * 1000)
    build.output.flush()
    assert build.run() == "made in a test\n"


def test_the_hook_sees_the_locked_versions_as_preferences(build: Build) -> None:
    hook = 'cat "$1/etc/apt/preferences.d/stockade" > "/proc/self/fd/$OUTPUT"'
    assert replace(build, recipe=replace(build.recipe, hook=hook)).run() == LOCK.preferences()


def test_the_command_names_what_to_build_and_nothing_of_this_user(
    build: Build, program: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "secret")
    program("mmdebstrap", '(printf "%s\\n" "$@"; env) > "/proc/self/fd/$OUTPUT"')
    said = build.run().splitlines()
    assert {
        "--mode=unshare",
        "--variant=minbase",
        "--include=bash,git",
        "--architectures=amd64",
        "SOURCE_DATE_EPOCH=1700000000",
    } <= set(said)
    assert "secret" not in "".join(said)


def test_scratch_space_is_where_the_namespaces_users_get_and_gone_afterwards(
    build: Build, program: Callable[[str, str], Path]
) -> None:
    program("mmdebstrap", 'stat -c "%a %n" "$TMPDIR/.." "$TMPDIR" > "/proc/self/fd/$OUTPUT"')
    home, scratch = (line.partition(" ") for line in build.run().splitlines())
    assert (home[0], scratch[0]) == ("711", "1777")
    assert not Path(scratch[2]).exists()


def test_steps_are_told(build: Build, program: Callable[[str, str], Path]) -> None:
    program("mmdebstrap", "echo 'I: extracting archives...' >&2")
    told = []

    class Watch(Silent):
        def stage(self, title: str, done: float | None) -> None:
            told.append(title)

    build.run(Watch())
    assert told == ["unpacking packages"]


def test_versions_that_no_longer_fit_together_give_way_to_current_ones(
    build: Build, program: Callable[[str, str], Path], progress: Progress, warnings: list[str]
) -> None:
    program(
        "mmdebstrap",
        'if [ -s "/proc/self/fd/$PINS" ]; then echo half > "/proc/self/fd/$OUTPUT"\n'
        "echo 'The following packages have unmet dependencies:' >&2; exit 100; fi\n" + _MMDEBSTRAP,
    )
    assert build.run(progress) == "made in a test\n"
    assert warnings == ["the locked package versions no longer fit together; using current ones"]


def test_packages_that_do_not_fit_at_all_are_told(
    build: Build, program: Callable[[str, str], Path], progress: Progress, warnings: list[str]
) -> None:
    program("mmdebstrap", "echo 'E: unmet dependencies' >&2; exit 100")
    with pytest.raises(
        ImageError, match=r"^cannot build from Debian packages: unmet dependencies$"
    ):
        build.run(progress)
    assert len(warnings) == 1


def test_a_hook_that_fails_fails_the_build(build: Build) -> None:
    with pytest.raises(ImageError, match="cannot build from Debian packages"):
        replace(build, recipe=replace(build.recipe, hook="exit 3")).run()


def test_a_build_that_is_cancelled_ends_and_leaves_no_scratch_space(
    build: Build,
    program: Callable[[str, str], Path],
    tmp_path: Path,
    eventually: Callable[[Callable[[], object], str], None],
) -> None:
    note = tmp_path / "note"
    program("mmdebstrap", f'echo "$TMPDIR" > "{note}.new"; mv "{note}.new" "{note}"; sleep 1000')

    async def work() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bootstrap, build.recipe, {"OUTPUT": build.output}, Silent())
            await anyio.to_thread.run_sync(eventually, note.exists, "the build starts")
            tasks.cancel_scope.cancel()

    anyio.run(work)
    assert not Path(note.read_text().strip()).exists()


@pytest.mark.parametrize(
    ("stderr", "message"),
    [
        (
            "I: fine\nE: first cause\nE: its effect\n",
            "cannot build from Debian packages: first cause",
        ),
        ("E: x\nE: Could not resolve 'mirror.example'\n", "the Debian mirror cannot be reached"),
        ("W: Unable to connect to mirror.example:http:\nE: x\n", "cannot be reached"),
        ("tar: No space left on device\nE: x\n", "no space left on the disk"),
        ("dpkg: something\n", "mmdebstrap: dpkg: something"),
        ("", "mmdebstrap: exit status 1"),
    ],
)
def test_a_failed_build_is_told_by_its_first_cause(stderr: str, message: str) -> None:
    assert message in str(explain(Finished("mmdebstrap", 1, b"", stderr)))


@given(st.text() | st.text().map("E: {}".format))
def test_any_failed_build_is_told_in_one_short_line(stderr: str) -> None:
    message = str(explain(Finished("mmdebstrap", 1, b"", stderr)))
    assert "\n" not in message
    assert len(message) < 400


def test_a_host_that_lacks_a_program_is_told_which(
    program: Callable[[str, str], Path], without_programs: None
) -> None:
    with pytest.raises(MissingToolError, match="mmdebstrap is not installed"):
        check_host()


def test_a_host_with_another_processor_is_told_what_it_can_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(ImageError, match="on a aarch64 machine") as caught:
        check_host()
    assert "dir: or oci:" in caught.value.hint


def test_a_user_without_subordinate_ids_is_told_how_to_get_them(
    ordinarily: Callable[..., str],
) -> None:
    code = """
import pwd
from stockade.model.errors import ImageError
from stockade.sandbox.images.mmdebstrap import check_host
# A user of that name and number has none, whatever the host gave to others.
pwd.getpwuid = lambda uid: pwd.struct_passwd(("stockade-test", "x", uid, uid, "", "/", "/bin/sh"))
import os
os.geteuid = lambda: 4_000_000_000
try:
    check_host()
except ImageError as error:
    print(error, error.hint, sep="; ")
"""
    assert ordinarily(code) == (
        "cannot build a Debian image: stockade-test has no subordinate uids; Run as root: usermod"
        " --add-subuids 100000-165535 --add-subgids 100000-165535 stockade-test\n"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone needs no subordinate ids")
def test_root_can_build_here() -> None:
    check_host()
