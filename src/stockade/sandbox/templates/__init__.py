"""Templates: machines that were booted once and saved, to be copied by every run."""
