"""From the original scan to model space, with a module for each step."""
