"""From a profile's text to a profile, and later to verdicts. Pure: it reads and writes nothing."""
