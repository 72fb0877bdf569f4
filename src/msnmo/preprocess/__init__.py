"""From a scan as it arrived to model space, a module for each step."""
