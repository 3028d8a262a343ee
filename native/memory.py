"""What a process that runs for weeks does with memory that it has freed."""

from holdfs.native._native import lib


def return_blocks(size: int) -> None:
    """Let freed blocks of this many bytes or more go back to the kernel at once, whatever else."""
    lib.hold_return_blocks(size)
