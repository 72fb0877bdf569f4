"""What pictures and pages share: slices, the frame of a page, the viewer of volumes."""
