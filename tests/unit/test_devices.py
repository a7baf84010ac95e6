"""Peaks of GPUs, by the names that drivers give them."""

from __future__ import annotations

import pytest

from shared.devices import Arithmetic, peak_flops


@pytest.mark.parametrize(
    ("device", "arithmetic", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", "bfloat16", 989.4),
        ("NVIDIA H100 PCIe", "bfloat16", 756),
        ("NVIDIA A100-SXM4-80GB", "tf32", 156),
        ("NVIDIA L40S", "float32", 91.6),
        ("NVIDIA GeForce RTX 4090", "bfloat16", 165.2),
    ],
)
def test_the_row_that_says_most_of_a_name_counts(device: str, arithmetic: Arithmetic, tera: float) -> None:
    assert peak_flops(device, arithmetic) == pytest.approx(tera * 1e12)


@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        "AMD EPYC 9654",
        "Tesla V100-SXM2-16GB",
        "NVIDIA A10",
        "NVIDIA A10G",
        "NVIDIA H100 NVL",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA GeForce RTX 3090 Ti",
        "NVIDIA H100 80GB HBM3 MIG 1g.10gb",
        "",
    ],
)
def test_of_others_nothing_is_said(device: str) -> None:
    assert peak_flops(device, "bfloat16") is None
