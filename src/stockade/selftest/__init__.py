"""Attempts to get past the walls, made on an internet of our own, and what came of them."""
