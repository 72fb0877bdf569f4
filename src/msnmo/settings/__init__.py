"""What a user may choose: the config, the methods and their settings. Imports no torch."""
