"""Stockade: a containment layer for autonomous AI agents."""

__version__ = "0.1.0"
