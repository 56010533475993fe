"""The HTTP(S) data plane: Envoy carries the requests, and asks here about each one."""
