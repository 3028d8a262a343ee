"""The store as a mounted tree."""
