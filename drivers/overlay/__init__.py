"""The overlay driver."""
