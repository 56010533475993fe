"""Host-guest framing: many byte streams over one ordered, reliable byte channel.

The same files run on the host and, copied, inside the guest under slow software emulation. So
they import each other and a few light modules of the standard library (``typing`` alone would
cost more than all of them), do no I/O, and nothing is re-exported here: a user pays for the
modules it names.

The peer is hostile. It can end a connection by a :class:`~.errors.ProtocolError`, and nothing more.
"""
