"""Check tensors of a network for NaN: with NaN weights it finds no lesion, but names a class."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from msnmo.networks.outputs import Outputs


def not_finite(tensors: Mapping[str, Tensor]) -> str:
    """Return a text that names tensors with NaN or infinity; empty if there are none.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        Whole numbers and booleans are finite.
    """
    wrong = {
        name: count
        for name, tensor in tensors.items()
        if (tensor.is_floating_point() or tensor.is_complex())
        and (count := int((~tensor.isfinite()).sum()))
    }
    if not wrong:
        return ""
    name, count = next(iter(wrong.items()))
    others = f", and {len(wrong) - 1} more tensors" if len(wrong) > 1 else ""
    return f"NaN or infinity in {count} of {tensors[name].numel()} numbers of {name}{others}"


def outputs_not_finite(outputs: Outputs) -> str:
    """Return a text that names a network's outputs with NaN or infinity; empty if there are none.

    The coarser lesion maps are left out, because only training uses them.
    """
    named = {"lesion_logits": outputs.lesion_logits, "class_logits": outputs.class_logits}
    given = {name: tensor for name, tensor in named.items() if tensor is not None}
    scales = {f"features {place}": each for place, each in enumerate(outputs.features, start=1)}
    return not_finite(given | scales)
