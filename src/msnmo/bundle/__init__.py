"""A bundle: trained folds packed to be applied to new scans, without the data they learned from."""
