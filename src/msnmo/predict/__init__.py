"""Predictions of trained networks for held-out folds, and Grad-CAM."""
