"""Where secrets are kept on the host, one module for each kind of place."""
