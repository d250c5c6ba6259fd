"""What the README tells people to type exists: every command, every option, every preset, the two first commands."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest
import typer.main

from configs import preset_names
from sga.cli.main import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)
SHELL = [line.split("#")[0].strip() for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()]
SGA = [part.strip() for line in SHELL for part in line.split("&&") if part.strip().startswith("sga ")]


def test_the_first_two_commands_are_all_the_set_up() -> None:
    assert SHELL[0] == "pip install . && sga generate --gender female"
    assert SHELL[1] == "pip install '.[all,test]' && pytest"


@pytest.mark.parametrize("line", SGA)
def test_command_and_options_exist(line: str) -> None:
    command: click.Command = typer.main.get_command(app)
    context, arguments = click.Context(command, info_name="sga"), shlex.split(line)[1:]
    while isinstance(command, click.Group):
        _, found, arguments = command.resolve_command(context, arguments)
        assert found is not None, line
        command, context = found, click.Context(found, parent=context, info_name=found.name)
    # Parsing refuses unknown options and values of the wrong kind; nothing runs.
    command.parse_args(context, arguments)


def test_every_named_preset_ships() -> None:
    folder_of = {"complete": "ensemble", "sfn": "sfn", "train": "gan", "quality tune": "quality", "run": "run"}
    rows = re.findall(r"^\| `([a-z ]+)` \| (.+) \|$", README, flags=re.MULTILINE)
    assert {name for name, _ in rows} >= set(folder_of)
    for name, text in rows:
        if name in folder_of:
            assert sorted(re.findall(r"`([\w-]+)`", text)) == preset_names(folder_of[name])


def test_python_blocks_are_python() -> None:
    blocks = [block for kind, block in BLOCKS if kind == "python"]
    assert blocks
    for block in blocks:
        ast.parse(block)


def test_extras_are_those_of_the_project() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert {"all", "test", "train", "studio", "serve", "scale", "audit"} <= set(extras)
