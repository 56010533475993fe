"""What Cedar files beside a profile can speak of; docs/reference/cedar.md says what it means."""

from __future__ import annotations

from functools import cache

from cedarpy import Schema

TEXT = """\
entity Agent;
entity Tool tags String;
entity Host;
entity Provider;
entity Program;

action "tool" appliesTo {
    principal: Agent,
    resource: Tool,
    context: {
        tool: String,
        arguments: Set<String>,
        kept: Set<String>,
        path?: String,
        leads_to?: String,
        path_globs: Set<String>,
        leads_to_globs: Set<String>,
        program?: String,
        command?: String,
        command_globs: Set<String>,
    }
};

action "http" appliesTo {
    principal: Agent,
    resource: Host,
    context: {
        scheme: String,
        name?: String,
        address?: ipaddr,
        port: Long,
        method: String,
        path: String,
        path_globs: Set<String>,
        query: String,
    }
};

action "connect" appliesTo {
    principal: Agent,
    resource: Host,
    context: { protocol: String, name?: String, address?: ipaddr, port: Long }
};

action "lookup" appliesTo {
    principal: Agent,
    resource: Host,
    context: { name: String }
};

action "model" appliesTo {
    principal: Agent,
    resource: Provider,
    context: { provider: String, model: String, full: String }
};

action "run" appliesTo {
    principal: Agent,
    resource: Program,
    context: { program: String, command: String }
};
"""


@cache
def schema() -> Schema:
    """Give the schema, parsed once."""
    return Schema.from_str(TEXT)
