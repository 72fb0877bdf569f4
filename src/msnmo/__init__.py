"""Joint lesion segmentation and MS / NMOSD classification of T2-FLAIR MRI."""
