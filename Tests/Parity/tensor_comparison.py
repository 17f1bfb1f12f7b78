"""How two tensors that should agree are compared, the same way by every check."""

from __future__ import annotations

from torch import Tensor


def relative_error(actual: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest magnitude of `expected`.

    Infinity where the shapes differ or either holds a value that is not finite; the absolute
    difference where `expected` is all zeros.
    """
    if actual.shape != expected.shape:
        return float("inf")
    if expected.numel() == 0:
        return 0.0
    actual, expected = actual.double(), expected.double()
    if not (actual.isfinite().all() and expected.isfinite().all()):
        return float("inf")
    largest = expected.abs().max().item()
    difference = (actual - expected).abs().max().item()
    return difference / largest if largest > 0 else difference
