"""The HTTP API: from a socket to a handler and back."""
