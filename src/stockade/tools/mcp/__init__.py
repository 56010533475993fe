"""MCP, the Model Context Protocol: tools for agents, and strangers' servers behind the wall.

Both the revision of 2026-07-28 and that of 2025-11-25 are spoken; the SDK takes care of that.
"""
