"""Inference as a product: what is found in one scan, in numbers that a report can print."""
