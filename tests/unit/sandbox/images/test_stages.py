from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stockade.sandbox.images.progress import Progress, Silent
from stockade.sandbox.images.stages import Stages

# What mmdebstrap says while it builds two packages, shortened.
_BUILD = """\
I: automatically chosen format: null
I: running apt-get update...
Get:1 http://mirror.example/debian bookworm InRelease [151 kB]
I: downloading packages with apt...
Get:1 http://mirror.example/debian bookworm/main amd64 bash amd64 5.2 [1 kB]
I: extracting archives...
I: installing essential packages...
Unpacking bash (5.2) ...
Setting up bash (5.2) ...
I: installing remaining packages inside the chroot...
Unpacking git (2.39) ...
Setting up git (2.39) ...
I: running --customize-hook in shell: sh -c 'exit'
I: cleaning package lists and apt cache...
"""


def test_a_build_is_told_in_order(
    progress: Progress, stages: list[tuple[str, float | None]]
) -> None:
    reader = Stages(progress, packages=2)
    for line in _BUILD.splitlines():
        reader.line(line)
    assert list(dict.fromkeys(title for title, _ in stages)) == [
        "reading the package lists",
        "downloading packages",
        "unpacking packages",
        "installing the base system",
        "installing packages",
        "writing the image",
        "cleaning up",
    ]
    assert stages[-1] == ("cleaning up", 0.97)


def test_lines_that_say_nothing_are_ignored(
    progress: Progress, stages: list[tuple[str, float | None]]
) -> None:
    Stages(progress, packages=2).line("dpkg: warning: something")
    assert stages == []


@given(
    st.lists(st.sampled_from(_BUILD.splitlines()) | st.text(), max_size=60),
    st.integers(min_value=0, max_value=3),
)
def test_the_bar_never_goes_back_and_never_past_the_end(lines: list[str], packages: int) -> None:
    seen: list[float] = []

    class Recorder(Silent):
        def stage(self, title: str, done: float | None) -> None:
            assert done is not None
            seen.append(done)

    reader = Stages(Recorder(), packages=packages)
    for line in lines:
        reader.line(line)
    assert seen == sorted(seen)
    assert all(0 < share <= 1 for share in seen)
