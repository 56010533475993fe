from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stockade.sandbox.images.manifest import Drift, ImageFacts, ImageManifest, parse_manifest

FACTS = ImageFacts(
    packages={"bash": "5.2"},
    env={"PATH": "/bin"},
    workdir="/workspace",
    drift=(Drift(package="bash", locked="5.1", built="5.2"),),
)
MANIFEST = ImageManifest.of(FACTS, digest="0" * 64, name="dir:/x", size=4096)


def test_a_manifest_holds_what_the_source_knows_and_when_it_was_made() -> None:
    assert (
        ImageFacts(**{name: getattr(MANIFEST, name) for name in ImageFacts.model_fields}) == FACTS
    )
    assert abs(datetime.now(UTC) - MANIFEST.created) < timedelta(hours=1)


def test_what_is_written_is_read_again() -> None:
    assert parse_manifest(MANIFEST.text()) == MANIFEST
    assert parse_manifest(MANIFEST.text().encode()) == MANIFEST


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "0" * 63},
        {"digest": "0" * 64 + "\n"},
        {"digest": "../" + "0" * 61},
        {"digest": "A" * 64},
        {"size": -1},
        {"size": "4096"},
        {"size": True},
        {"name": ""},
        {"name": None},
        {"format": 2},
        {"created": "yesterday"},
        {"created": "2026-01-01T00:00:00"},
        {"packages": {"bash": 5}},
        {"env": ["PATH=/bin"]},
        {"unknown": 1},
    ],
)
def test_a_manifest_with_something_wrong_is_none(change: dict[str, object]) -> None:
    assert parse_manifest(json.dumps(json.loads(MANIFEST.text()) | change)) is None


@pytest.mark.parametrize("name", ["digest", "name", "size", "created"])
def test_a_manifest_that_lacks_something_is_none(name: str) -> None:
    content = json.loads(MANIFEST.text())
    del content[name]
    assert parse_manifest(json.dumps(content)) is None


@given(st.integers(min_value=0, max_value=len(MANIFEST.text()) - 3))
def test_a_manifest_that_was_cut_short_is_none(length: int) -> None:
    assert parse_manifest(MANIFEST.text()[:length]) is None


@given(st.binary() | st.text())
def test_anything_else_is_none(content: str | bytes) -> None:
    assert parse_manifest(content) is None


def test_a_deeply_nested_manifest_is_none() -> None:
    assert parse_manifest("[" * 100_000) is None


def test_a_manifest_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        MANIFEST.name = "other"
