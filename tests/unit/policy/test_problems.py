from __future__ import annotations

from pathlib import Path

import pytest

from stockade.policy.document import ProfileDocumentError, parse_profile
from stockade.policy.problems import as_written, place_of
from stockade.policy.yamltree import read_tree

_DEEP = """\
version: 1
mcp:
  s:
    command: [x]
    tools: {t: {arguments: {n: {minimun: 1}}}}
tools:
  read_file: {paths: [/a], argumets: {}}
network:
  - {hosst: a.org}
credentials:
  c: {form: "env:C"}
"""


def _lines(text: str) -> list[str]:
    with pytest.raises(ProfileDocumentError) as caught:
        parse_profile(text, source="p", base=Path("/"))
    return caught.value.lines()


def test_unknown_keys_are_named_at_every_depth() -> None:
    assert _lines(_DEEP) == [
        "p:5:33: unknown key 'minimun' in mcp.s.tools.t.arguments.n; did you mean 'minimum'?",
        "p:7:28: unknown key 'argumets' in tools.read_file; did you mean 'arguments'?",
        "p:9:5: key 'host' is missing in network[0]",
        "p:9:6: unknown key 'hosst' in network[0]; did you mean 'host'?",
        "p:11:6: key 'from' is missing in credentials.c",
        "p:11:7: unknown key 'form' in credentials.c; did you mean 'format'?",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('tools: {read_file: {paths: ["/a/b**"]}}', "p:1:29: tools.read_file.paths[0]: '**' must"),
        ("tools: {read_fil: {}}", "p:1:9: tools.read_fil: there is no such tool; did you mean"),
        ("tools: {git_log: {commands: [x]}}", "p:1:19: tools.git_log.commands: git_log takes no"),
        ("tools: {read_file: {}}", "p:1:9: tools.read_file: read_file needs 'paths'"),
        ("network: [{host: a.org/x}]", "p:1:18: network[0].host: 'a.org/x' is not a host; paths"),
        ("network: [{host: a, methods: [get]}]", "p:1:31: network[0].methods[0]: 'get' is not an"),
        ("network: [{host: a, credential: c}]", "p:1:33: network[0].credential: there is no"),
        ('credentials: {c: {from: "env:C"}}', "p:1:15: credentials.c: no grant under 'network'"),
        ("mcp: {s: {tools: {}}}", "p:1:10: mcp.s: a server has either 'command'"),
        ('approvals: [{action: "tool:x"}]', "p:1:22: approvals[0].action: no tool 'x' is granted"),
        ("budget: {usd: 0}", "p:1:15: budget.usd: must be a number above 0"),
        ("budget: {tokens: 1.5}", "p:1:18: budget.tokens: must be a whole number, not 1.5"),
        ("tools: {git_log: {arguments: {n: {enum: []}}}}", "p:1:41: tools.git_log.arguments.n"),
    ],
)
def test_what_is_wrong_is_said_where_it_stands(text: str, line: str) -> None:
    [found] = _lines(text)
    assert found.startswith(line)


def test_files_are_pointed_at_where_they_are_written() -> None:
    tree = read_tree("files: [{guest: /z}, {guest: //a/}, {guest: /z/b}]")
    assert as_written(("files", 0), tree) == ("files", 1)
    assert as_written(("files", 1, "host"), tree) == ("files", 0, "host")
    assert as_written(("tools", "x"), tree) == ("tools", "x")


def test_rules_are_called_after_places() -> None:
    assert place_of("network[3]") == ("network", 3)
    assert place_of("tools.read_file") == ("tools", "read_file")
    assert place_of("mcp.s.tools.a.b") == ("mcp", "s", "tools", "a.b")
    assert place_of("default") == ("default",)
