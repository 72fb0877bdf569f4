"""What a network returns, whichever of the two tasks it solves."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Outputs:
    """Outputs of one forward pass for a batch of B scans of X x Y x Z voxels.

    Parameters
    ----------
    lesion_logits : (B, 1, X, Y, Z) Tensor of float32, optional
        Lesion map before its sigmoid (equation 5); None if the network does not segment.
    scale_logits : tuple of Tensor
        S_1 to S_4, (B, 1, x, y, z) each, coarse to fine: 1/8, 1/4, 1/2 and 1/1 of the input's
        size. Empty for networks without them.
    supervised_logits : tuple of (B, 1, X, Y, Z) Tensor of float32
        Maps of coarser levels, fine to coarse, that are trained beside `lesion_logits` (deep
        supervision). Empty for networks without.
    class_logits : (B, 2) Tensor of float32, optional
        MS and NMOSD before the softmax (equation 6); None if the network does not classify.
    features : tuple of Tensor
        F_1 to F_3, (B, C_i, x, y, z) each, fine to coarse: 1/2, 1/4 and 1/8 of the input's size.
        Empty for networks without localisation maps.
    class_weights : tuple of (2, C_i) Tensor
        The fully connected layer's slices that belong to `features`.
    """

    lesion_logits: Tensor | None = None
    scale_logits: tuple[Tensor, ...] = ()
    supervised_logits: tuple[Tensor, ...] = ()
    class_logits: Tensor | None = None
    features: tuple[Tensor, ...] = ()
    class_weights: tuple[Tensor, ...] = ()

    @property
    def lesion_probability(self) -> Tensor:
        """Lesion probability map M_lesion, (B, 1, X, Y, Z), 0 to 1 (equation 5)."""
        if self.lesion_logits is None:
            raise ValueError("a network that does not segment has no lesion probability")
        return self.lesion_logits.sigmoid()

    @property
    def class_probabilities(self) -> Tensor:
        """Probabilities of MS and NMOSD, (B, 2), rows adding up to 1 (equation 6)."""
        if self.class_logits is None:
            raise ValueError("a network that does not classify has no class probabilities")
        return self.class_logits.softmax(dim=1)
