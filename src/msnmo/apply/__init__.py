"""Trained folds applied to new scans: masks in each scan's own space, class, lesions, pages."""
