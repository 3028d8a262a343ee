"""holdctl: the store's command line, in the form of containers-storage's."""


def main() -> int:
    """Run the command line in `sys.argv` and return the exit status; raises KeyboardInterrupt."""
    from holdfs.core.cli import program

    return program.main()
