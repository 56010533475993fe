"""The domain's words: frozen values and errors. No I/O."""
