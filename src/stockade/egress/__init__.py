"""What leaves a machine: every connection and question for a name, decided one by one."""
