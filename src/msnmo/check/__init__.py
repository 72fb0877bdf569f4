"""The check: every scan and mask opened whole once, every doubt named before compute starts."""
