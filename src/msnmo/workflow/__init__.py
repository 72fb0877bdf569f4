"""What the workflow needs of the package beside its steps: versions of code, jobs."""
