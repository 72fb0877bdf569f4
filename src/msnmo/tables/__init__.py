"""The paper's Tables 3 to 9 with our numbers beside the reported ones."""
