"""One page on what works on this machine and what does not."""
