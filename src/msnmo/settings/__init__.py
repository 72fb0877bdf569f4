"""What a user may choose: the config, the methods, their settings; imports no torch."""
