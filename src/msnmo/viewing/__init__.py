"""Shared parts of pictures and pages: slices, the frame of a page, the viewer of volumes."""
