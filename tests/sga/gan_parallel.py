"""Two processes: one penalised discriminator step on half of a batch each, then a run that is refused and a whole one. Writes
into FOLDER.

python gan_parallel.py FOLDER
"""

from __future__ import annotations

import runpy
import sys
from contextlib import nullcontext
from pathlib import Path

import torch

from classifiers.runtime import launch
from configs.errors import InputError
from configs.files import hold
from labeling.workspace import Workspace
from sga.condition import Condition
from sga.models import srresnet_discriminator
from sga.training import train
from sga.training.data import RealBatch
from sga.training.steps import discriminator_step

gan = runpy.run_path(str(Path(__file__).with_name("gan_run.py")))


def step(processes: int) -> dict[str, torch.Tensor]:
    """The discriminator after one step on eight faces, over this many processes. No term of it draws random numbers."""
    launching = f"launch={{accelerator: cpu, threads: 1, precision: '32', devices: {processes}}}"
    settings = gan["settings"]("penalty=r1", "weights.penalty=3", "penalty_interval=1", "diff_augment=[]", launching)
    fabric = launch(settings.launch)
    generator = torch.Generator().manual_seed(0)
    network = srresnet_discriminator(16, 4, (4, 8, 8), (0, 1, 0))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    images, fakes = torch.rand(2, 8, 3, 16, 16, generator=generator) * 2 - 1
    style, noise = torch.randn(8, 4, generator=generator), torch.zeros(8, 1)
    gender = torch.arange(8) // 2 % 2
    mine = slice(fabric.global_rank, None, fabric.world_size)
    real = RealBatch(images[mine], gender[mine], torch.ones(8)[mine], style[mine])
    condition = Condition(noise[mine], gender[mine], style[mine])
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    discriminator_step(fabric, settings, network, optimiser, real, fakes[mine], condition, penalise=True)
    return {name: value.detach() for name, value in network.state_dict().items()}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    stepped = step(2)
    rank = torch.distributed.get_rank()
    torch.save(stepped, folder / f"rank{rank}.pt")
    settings = gan["settings"]("launch={accelerator: cpu, threads: 1, devices: 2}")
    with hold(folder / "gan" / ".lock") if rank == 0 else nullcontext():  # as another training would
        try:
            train(Workspace(folder), settings, gan["draw_faces"](), progress=False)
        except InputError as error:
            (folder / f"refused{rank}").write_text(str(error))
    result = train(Workspace(folder), settings, gan["draw_faces"](), progress=False)
    assert result.finished
    torch.distributed.destroy_process_group()
