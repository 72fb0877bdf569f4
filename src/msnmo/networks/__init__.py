"""The joint model's sub-networks, one a module, and its losses.

Importing this package imports no torch: stages that train nothing read it, too.
"""

NETWORK_VERSION = 1
"""Raise it by one when equal weights are meant to give other outputs than before.

Bundles carry it: those of another version are refused instead of giving other masks than they did.
"""
