"""How well a fold's predictions agree with readers and diagnoses, in the paper's metrics."""
