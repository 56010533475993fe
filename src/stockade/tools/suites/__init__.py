"""Test suites of agents' projects: which framework they are of, and what its report says."""
