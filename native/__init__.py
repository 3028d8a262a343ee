"""What only C can say to the kernel, each module a typed face of one C file."""
