"""The starter: networks trained on simulated scans alone, so that `msnmo apply` is of use at once.

Every training scan is drawn afresh, in the way of domain randomisation (Billot et al., SynthSeg,
Med. Image Anal. 2023, 86:102789; Laso et al., WMH-SynthSeg, ISBI 2024): what a scanner, a protocol,
an age or a preprocessing may vary is drawn wider than it varies in life, so that a real scan is one
more variation.
"""

FINISHED = "weights.safetensors"
"""The last file that a training writes in its folder."""
