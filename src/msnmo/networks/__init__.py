"""The joint model's sub-networks, one a module, and its losses.

Importing this package imports no torch: `settings` is read by stages that train nothing.
"""
