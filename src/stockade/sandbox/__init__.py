"""The wall: machines for sessions, what they are made of, and what keeps them in."""
