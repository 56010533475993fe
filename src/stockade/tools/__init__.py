"""The tools that an agent gets in place of a shell, one file each."""
