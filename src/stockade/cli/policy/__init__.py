"""``stockade policy``: check, explain, compare and learn profiles."""

COMMANDS = {
    "check": "Say what is wrong with profiles, and what is suspicious in them.",
    "explain": "Say what a profile makes of one action, by which rule, and what it would need.",
    "diff": "Show the actions that two profiles decide differently.",
    "learn": "Write the smallest profile that allows what a journal records.",
    "accept": "Read what third parties' MCP servers say of their tools, and accept it.",
    "schema": "Print the JSON Schema of profiles, for editors.",
}
