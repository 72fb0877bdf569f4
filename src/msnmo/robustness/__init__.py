"""Held-out scans perturbed at graded severity, and what trained networks say of them."""
