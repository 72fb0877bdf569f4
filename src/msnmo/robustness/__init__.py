"""Held-out scans perturbed at graded severity, and the predictions of trained networks on them."""
