"""The check: it opens every scan and mask once, in full, and reports every doubt before a run."""
