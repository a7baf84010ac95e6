"""Linear layers whose weights lie as oneDNN's matrix kernels read them.

PyTorch's own float32 product lays a weight out anew in every call: on a Zen 3 core a quarter of the product's time with
4 to 16 rows. One row costs the same either way.
"""

from __future__ import annotations

import platform
from typing import Any

import torch

TYPICAL_ROWS = 16
"""The layout is chosen for this many rows, and serves any number."""

COMPARED_ROWS = (4, 5, 8, 13)
"""Batches whose rows must come out bit for bit as those of a larger one: no oneDNN promises it for every processor."""


class PackedLinear(torch.nn.Module):
    """What `torch.nn.Linear` computes, without gradients."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), TYPICAL_ROWS)
        self.bias = linear.bias

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """`rows` [..., in] to [..., out]."""
        made: torch.Tensor = torch.ops.mkldnn._linear_pointwise(rows, self.packed, self.bias, "none", [], "")
        return made


def supported() -> bool:
    """Whether oneDNN's own kernels run on this machine."""
    return platform.machine().lower() in ("x86_64", "amd64") and bool(torch._C._has_mkldnn)


def pack(model: Any) -> None:
    """Replace the linear layers of a float32 model, where `supported` and where no row depends on those beside it."""
    if model.dtype != torch.float32 or not supported():
        return
    independent: dict[tuple[int, int], bool] = {}
    with torch.inference_mode():
        for module in list(model.modules()):
            for name, child in module.named_children():
                if type(child) is not torch.nn.Linear:
                    continue
                packed, shape = PackedLinear(child), (child.in_features, child.out_features)
                if shape not in independent:
                    independent[shape] = _independent(packed, child.in_features)
                if independent[shape]:
                    setattr(module, name, packed)


def _independent(packed: PackedLinear, width: int) -> bool:
    rows = torch.randn(2 * TYPICAL_ROWS, width, generator=torch.Generator().manual_seed(0))
    whole = packed(rows)
    return all(torch.equal(packed(rows[:count]), whole[:count]) for count in COMPARED_ROWS)
