"""What the workflow needs besides its steps: versions of code, jobs, the screen."""
