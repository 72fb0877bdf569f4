"""Measure what msnmo costs on this machine, and compare it with what it could cost."""
