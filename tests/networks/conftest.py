"""Plain numpy and Python versions of the operations that the paper's equations are made of."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch


def to_numpy(tensor):
    return tensor.detach().double().numpy()


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def softmax(values, axis=-1):
    exponentials = np.exp(values - values.max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


def conv3d(image, weight, bias=None, stride=1, padding=0):
    """Cross-correlate (B, I, X, Y, Z) with (O, I, k, k, k), one kernel element at a time."""
    image = np.pad(image, [(0, 0), (0, 0), *[(padding, padding)] * 3])
    kernel = weight.shape[-1]
    edges = [(edge - kernel) // stride + 1 for edge in image.shape[2:]]
    result = np.zeros((len(image), len(weight), *edges))
    for offset in np.ndindex(kernel, kernel, kernel):
        window = tuple(
            slice(start, start + stride * edge, stride)
            for start, edge in zip(offset, edges, strict=True)
        )
        taken = image[(slice(None), slice(None), *window)][:, :, : edges[0], : edges[1], : edges[2]]
        result += np.einsum("bixyz,oi->boxyz", taken, weight[(slice(None), slice(None), *offset)])
    return result if bias is None else result + bias[:, None, None, None]


def instance_norm(features, weight, bias):
    axes = (2, 3, 4)
    mean, variance = features.mean(axis=axes, keepdims=True), features.var(axis=axes, keepdims=True)
    shape = (-1, 1, 1, 1)
    scaled = (features - mean) / np.sqrt(variance + 1e-5)
    return scaled * weight.reshape(shape) + bias.reshape(shape)


def layer_norm(tokens, weight, bias):
    """Over the last axis."""
    mean, variance = tokens.mean(axis=-1, keepdims=True), tokens.var(axis=-1, keepdims=True)
    return (tokens - mean) / np.sqrt(variance + 1e-5) * weight + bias


def nearest(features, factor):
    for axis in (2, 3, 4):
        features = features.repeat(factor, axis=axis)
    return features


def trilinear(features, factor):
    """Interpolate linearly between voxel centres, constant beyond the outermost."""
    for axis in (2, 3, 4):
        edge = features.shape[axis]
        places = np.clip((np.arange(edge * factor) + 0.5) / factor - 0.5, 0, edge - 1)
        lower = np.minimum(np.floor(places).astype(int), max(edge - 2, 0))
        matrix = np.zeros((edge * factor, edge))
        matrix[np.arange(edge * factor), lower] += 1 - (places - lower)
        matrix[np.arange(edge * factor), np.minimum(lower + 1, edge - 1)] += places - lower
        features = np.moveaxis(np.moveaxis(features, axis, -1) @ matrix.T, -1, axis)
    return features


@pytest.fixture
def ref():
    return SimpleNamespace(
        to_numpy=to_numpy,
        sigmoid=sigmoid,
        softmax=softmax,
        conv3d=conv3d,
        instance_norm=instance_norm,
        layer_norm=layer_norm,
        nearest=nearest,
        trilinear=trilinear,
    )


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(20240527)
