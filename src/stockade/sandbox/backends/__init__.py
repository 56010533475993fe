"""The walls: one file for each way to build one."""
