"""What trained networks say of scans: of a fold held out, and Grad-CAM."""
