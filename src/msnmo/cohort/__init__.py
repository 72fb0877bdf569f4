"""The cohort's door: from a user's scan table to checked scans."""
