"""What applying a bundle takes: a scan in model space, whoever preprocessed it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Prepared:
    """A scan in model space and what is known of it.

    Parameters
    ----------
    name : str
    flair : Path
        The scan as it arrived.
    brain, brain_sidecar : Path
        Brain mask on the scan's own grid, and how it was made.
    n4 : Path
        Bias-corrected brain on the scan's own grid.
    image, sidecar, model_brain : Path
        z-scored, in model space, the way back, and the brain mask there.
    seconds : dict
        What each step took.
    """

    name: str
    flair: Path
    brain: Path
    brain_sidecar: Path
    n4: Path
    image: Path
    sidecar: Path
    model_brain: Path
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def n4_sidecar(self) -> Path:
        """How the bias was corrected: JSON beside the image, written with it."""
        return self.n4.with_name(f"{self.n4.name.removesuffix('.nii.gz')}.json")
