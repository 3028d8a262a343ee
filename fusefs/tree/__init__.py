"""Which record is which file, and nothing else: no pyfuse3 here."""
