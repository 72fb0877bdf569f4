"""A static site of the results that opens from disk; every scan in three planes."""
