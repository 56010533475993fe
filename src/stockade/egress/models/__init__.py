"""The door to language models: which may be called, what a call used and what it cost."""
