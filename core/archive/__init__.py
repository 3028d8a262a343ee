"""A layer as a tar stream: in, out, and what differs."""
