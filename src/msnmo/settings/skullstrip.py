"""The choices of skull stripping; who only names them imports no engine."""

from typing import Literal

Engine = Literal["auto", "fsl", "surface", "hd-bet"]
Implausible = Literal["error", "flag"]
