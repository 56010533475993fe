"""The agent: process 1 of the machine, and the only code of Stockade's that runs inside the wall.

It holds no secret and decides nothing: the host asks, the agent does it, and what the host may rely
on is only what the wall itself enforces. Standard library and ``stockade.wire`` alone.
"""
