"""Bytes to values and back. No I/O here, and nothing of core but errors."""
