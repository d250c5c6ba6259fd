import json
import runpy
import subprocess
import sys
from pathlib import Path

import torch

from sga.training import load_generator

SCRIPT = Path(__file__).with_name("gan_parallel.py")


def test_two_processes_step_as_one(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    alone = runpy.run_path(str(SCRIPT))["step"](1)
    for name, value in alone.items():
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], value, atol=1e-5, rtol=1e-4)
    assert "found another sga train" in (tmp_path / "refused0").read_text()
    assert "found it refused" in (tmp_path / "refused1").read_text()
    lines = [json.loads(line) for line in (tmp_path / "gan" / "stats.jsonl").read_text().splitlines()]
    assert [line["images"] for line in lines] == [12, 24, 36, 40]
    assert torch.isfinite(load_generator(tmp_path / "gan").last.weight).all()
