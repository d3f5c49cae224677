"""The commands of the library, with flags, a terminal and pages; they need the extra `diagnose`."""
