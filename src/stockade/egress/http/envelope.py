"""The headers by which Envoy, the authorizer and the courier speak with one another.

None of them can come from a guest: Envoy removes all that begin with the prefix when a request
arrives, and again before it leaves for the host.
"""

from __future__ import annotations

PREFIX = "x-stockade-"

# What Envoy tells the authorizer.
SESSION = f"{PREFIX}session"  # the session's invented IPv6 address
DESTINATION = f"{PREFIX}destination"  # ADDRESS:PORT that the guest connected to
HOST = f"{PREFIX}host"  # the host's name, as the door said it
SCHEME = f"{PREFIX}scheme"  # http, or https if TLS was spoken
SERVER_NAME = f"{PREFIX}server-name"  # the TLS server name that the guest gave
METHOD = f"{PREFIX}method"
AUTHORITY = f"{PREFIX}authority"
TARGET = f"{PREFIX}target"  # path and query
UPGRADE = f"{PREFIX}upgrade"

# What the authorizer tells Envoy.
ROUTE = f"{PREFIX}route"  # direct or courier
ADDRESS = f"{PREFIX}address"  # the vetted ADDRESS:PORT
RULE = f"{PREFIX}rule"  # the grant that allows it; for the courier alone

ABOUT_THE_CONNECTION = (SESSION, DESTINATION, HOST, SCHEME)
"""What the courier is told of a connection, besides ``ADDRESS`` and ``RULE``."""

FROM_THE_AUTHORIZER = (ROUTE, ADDRESS, RULE, *ABOUT_THE_CONNECTION)
