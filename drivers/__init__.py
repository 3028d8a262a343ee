"""A layer gets a directory: overlay, vfs, btrfs behind one protocol."""
