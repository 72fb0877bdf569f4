"""The entry to a cohort: from a user's scan table to checked scans."""
