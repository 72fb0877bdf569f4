"""A bundle: trained folds, packed for new scans, without the training data."""
