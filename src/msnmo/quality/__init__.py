"""Quality of the preprocessing: pictures, numbers and flags for a rater to decide by."""
