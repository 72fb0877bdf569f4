"""Uncertainty of a table's comparisons: intervals, paired tests, multiplicity correction."""
