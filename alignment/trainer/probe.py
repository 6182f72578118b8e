"""Which number format this machine is faster in."""

from __future__ import annotations

import time

import torch


def faster_dtype(device: str) -> str:
    """`bfloat16` where matrix products in it are at least 1.5 times as fast as in float32, else
    `float32`.

    Under that the casts of autocast eat the gain. A few milliseconds on a processor; a GPU that
    supports bf16 takes it.
    """
    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    if not has_bf16_units():
        return "float32"
    a, b = torch.randn(512, 512), torch.randn(512, 512)
    slow, fast = _seconds(a, b), _seconds(a.bfloat16(), b.bfloat16())
    return "bfloat16" if slow > 1.5 * fast else "float32"


def matrix_rate(device: str, bf16: bool) -> float:
    """Operations a second of square matrix products on this device, the best of a few now."""
    size, n = (512, 2) if device == "cpu" else (8192, 10)
    dtype = torch.bfloat16 if bf16 else torch.float32
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(4):
        _wait(device)
        begun = time.perf_counter()
        for _ in range(n):
            a @ b
        _wait(device)
        best = min(best, (time.perf_counter() - begun) / n)
    return 2.0 * size**3 / best


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def has_bf16_units() -> bool:
    """Whether the processor multiplies bf16 itself (emulation is slow even to time)."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="ignore") as file:
            flags = next((line for line in file if line.startswith(("flags", "Features"))), "")
    except OSError:
        return True
    return "bf16" in flags


def _seconds(a: torch.Tensor, b: torch.Tensor) -> float:
    for _ in range(2):
        a @ b
    best = float("inf")
    for _ in range(5):
        begun = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - begun)
    return best
