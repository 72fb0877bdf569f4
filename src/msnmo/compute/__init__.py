"""Where networks run: the device, and which GPU of the machine is free."""
