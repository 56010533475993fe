from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.sandbox.images.progress import Part, Progress, Silent

if TYPE_CHECKING:
    from typing import TypeAlias

    Stages: TypeAlias = list[tuple[str, float | None]]

_SHARES = st.none() | st.floats(allow_nan=False)


@pytest.mark.parametrize(
    ("done", "share"),
    [(None, 0.5), (0.0, 0.5), (0.5, 0.625), (1.0, 0.75), (-1.0, 0.5), (7.0, 0.75)],
)
def test_a_part_fills_its_span_of_the_whole(
    progress: Progress, stages: Stages, done: float | None, share: float
) -> None:
    Part(progress, 0.5, 0.75).stage("working", done)
    assert stages == [("working", share)]


def test_a_part_passes_warnings_on(progress: Progress, warnings: list[str]) -> None:
    Part(progress, 0.0, 1.0).warn("careful")
    assert warnings == ["careful"]


@given(_SHARES, st.floats(0, 1), st.floats(0, 1))
def test_parts_within_parts_never_leave_the_whole(
    done: float | None, start: float, end: float
) -> None:
    start, end = sorted((start, end))
    seen: list[float | None] = []

    class Recorder(Silent):
        def stage(self, title: str, done: float | None) -> None:
            seen.append(done)

    Part(Part(Recorder(), start, end), 0.2, 0.8).stage("working", done)
    (share,) = seen
    assert share is not None
    # Rounding may miss an end by the last bit.
    assert start - 1e-9 <= share <= end + 1e-9


def test_silence_takes_everything() -> None:
    Silent().stage("working", None)
    Silent().warn("careful")
