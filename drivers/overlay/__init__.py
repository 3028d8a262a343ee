"""The overlay driver: kernel overlay mounts of layers' own changes."""
