"""Training: one method on the training scans of one fold."""
