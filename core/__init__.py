"""The store: bytes on disk as immutable records, and the operations on them."""
