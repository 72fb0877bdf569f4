"""What msnmo costs on this machine, measured beside what it could cost."""
