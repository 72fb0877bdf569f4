"""The choices of skull stripping. Naming them here imports no engine."""

from typing import Literal

Engine = Literal["auto", "fsl", "surface", "hd-bet"]
Implausible = Literal["error", "flag"]
