"""Which names are given a certificate, and for how long."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stockade.egress.http import certificates
from stockade.egress.http.authority import Authority
from stockade.egress.http.certificates import Certificates


@pytest.fixture
def subject(tmp_path: Path) -> Certificates:
    return Certificates(Authority.load(tmp_path))


def test_only_expected_names_have_one_and_keep_it(subject: Certificates) -> None:
    assert subject.leaf("a.test") is None
    subject.expect("a.test")
    leaf = subject.leaf("a.test")
    assert leaf is not None
    assert subject.leaf("a.test") is leaf
    assert subject.leaf("b.test") is None


def test_an_old_one_is_renewed(subject: Certificates) -> None:
    subject.expect("a.test")
    leaf = subject.leaf("a.test")
    assert leaf is not None
    subject._leaves["a.test"] = replace(leaf, expires=datetime.now(UTC) + timedelta(hours=1))
    assert subject.leaf("a.test") not in {None, leaf}


def test_no_more_are_kept_than_the_bound(
    subject: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "MAX_NAMES", 2)
    for name in ("a.test", "b.test", "a.test", "c.test"):
        subject.expect(name)
    assert subject.leaf("b.test") is None
    assert subject.leaf("a.test") is not None
    assert subject.leaf("c.test") is not None
