from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from stockade.model.profile import Profile
from stockade.policy.document import parse_profile
from stockade.policy.writing import write_profile

_TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


def _read(text: str) -> Profile:
    return parse_profile(text, source="p", base=Path("/"))


@given(
    st.dictionaries(st.from_regex("[A-Za-z_]{1,8}", fullmatch=True), _TEXTS, max_size=3),
    st.lists(st.text(max_size=60), max_size=2),
)
def test_what_is_written_is_read_again(env: dict[str, str], comments: list[str]) -> None:
    profile = Profile(env=env)
    assert _read(write_profile(profile, comments=comments)) == profile


def test_every_section_is_written() -> None:
    profile = _read(
        """
version: 1
name: all
image: dir:/img
wall: {minimum: gvisor}
limits: {memory: 64MiB, cpu_time: 1.5s}
pool: {ready: 2}
files: [{host: /a, guest: /b, access: overlay}]
env: {"ON": "yes", B: "1"}
network: [{host: "a.org", methods: [], credential: c}, {host: b.org, protocol: ssh}]
credentials: {c: {from: "env:C", query: key}}
models: [{provider: p, models: [m, n]}]
budget: {usd: 1.25, tokens: 5}
tools:
  read_file: {paths: [/a, /b], arguments: {"on": {enum: [true, 1, 0.5, "no", "1"]}}, timeout: 3s}
  run_command: {commands: ["git log", "git 'a b'"]}
  git_log: {}
mcp: {s: {url: "http://127.0.0.1:1/mcp", timeout: 1m30s, tools: {t.x: {}}}}
approvals: [{action: "http:*", host: a.org, expires: 1m}]
"""
    )
    written = write_profile(profile, uses={"git_log": 1, "s__t.x": 2})
    assert _read(written) == profile
    assert "git_log: {}  # 1 call\n" in written
    assert "    timeout: 1m30s\n" in written
    assert ", timeout: 3s, " in written
    assert "expires: 1m}" in written
    assert '"t.x": {}  # 2 calls\n' in written


def test_a_time_finer_than_its_unit_is_kept() -> None:
    for time in ("1.2345678s", "1.235s"):
        profile = _read(f"version: 1\ntools: {{run_tests: {{timeout: {time}}}}}\n")
        assert _read(write_profile(profile)) == profile


def test_a_comment_stays_a_comment() -> None:
    written = write_profile(Profile(), comments=["a\nname: evil", "b\u2028name: evil\x85x"])
    assert _read(written) == Profile()
