"""holdctl."""
