"""How sure the comparisons of a table are: intervals, paired tests, correction for several."""
