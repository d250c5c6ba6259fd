"""Lightning Fabric: CPU, one GPU, several, several hosts."""

from __future__ import annotations

import ctypes
import os
import sys
import warnings
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from pydantic import BeforeValidator, Field

from configs.errors import ConfigError, MissingExtra
from configs.settings import Settings

if TYPE_CHECKING:
    from lightning.fabric import Fabric

__all__ = ["LaunchSettings", "autocast_precision", "launch", "reads_terms"]

_READ_STEPS = 20

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h


class LaunchSettings(Settings):
    """Where and in which precision a training runs."""

    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: int = Field(1, ge=1, description="processes on this host")
    nodes: int = Field(1, ge=1, description="hosts")
    precision: Annotated[Literal["auto", "32", "bf16"], BeforeValidator(str)] = Field(
        "auto", description="auto = bf16 where the hardware multiplies it natively"
    )
    threads: int | None = Field(None, ge=1, description="CPU threads of torch; None = torch's own choice")
    compile: bool = Field(False, description="torch.compile of the GAN's networks; needs a C++ compiler, on a GPU Triton too")
    graphs: bool = Field(False, description="record the GAN's steps as CUDA graphs; nothing changes where there is no GPU")


def _cpu_multiplies_bf16() -> bool:
    """AVX512-BF16 or AMX: without them bf16 convolutions are emulated and slower than float32."""
    has_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    has_amx = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool((has_bf16 and has_bf16()) or (has_amx and has_amx()))


def autocast_precision(settings: LaunchSettings, accelerator: str) -> Literal["32-true", "bf16-mixed"]:
    """Fabric's name of the precision that `settings` mean on `accelerator` ("cpu" or "cuda")."""
    if settings.precision == "32":
        return "32-true"
    if settings.precision == "bf16":
        return "bf16-mixed"
    native = _cpu_multiplies_bf16() if accelerator == "cpu" else torch.cuda.is_bf16_supported()
    return "bf16-mixed" if native else "32-true"


def reads_terms(device: torch.device, step: int) -> bool:
    """Whether the host reads the losses of a step, by its number: on a GPU seldom, for the host waits while it does."""
    return device.type != "cuda" or step % _READ_STEPS == 0


def _keep_freed_memory() -> None:
    """Let glibc keep large freed blocks: handed back, the kernel zeroes and maps them anew in every step of a CPU training."""
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # absent where the C library is not glibc
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def launch(settings: LaunchSettings) -> Fabric:
    """A launched Fabric.

    Raises:
        ConfigError: a GPU is asked for and none is there.
        MissingExtra: lightning is not installed.
    """
    try:
        from lightning.fabric import Fabric
    except ModuleNotFoundError as error:
        raise MissingExtra("lightning", "train") from error
    has_gpu = torch.cuda.is_available()
    if settings.accelerator == "gpu" and not has_gpu:
        raise ConfigError("Expected a GPU, found none that torch can use. Type: --set launch.accelerator=cpu")
    accelerator = "cuda" if has_gpu and settings.accelerator != "cpu" else "cpu"
    if accelerator == "cpu":
        _keep_freed_memory()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    os.environ.setdefault("TQDM_DISABLE", "1")
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = accelerator == "cuda"  # every step has the same shapes
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not available.*")
        fabric = Fabric(
            accelerator=accelerator,
            devices=settings.devices,
            num_nodes=settings.nodes,
            precision=autocast_precision(settings, accelerator),
        )
        fabric.launch()
    return fabric
