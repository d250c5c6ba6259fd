"""A group of commands known by name: a module is imported when its command runs, not to print the help."""

from __future__ import annotations

import importlib
from typing import Any, ClassVar, TypeAlias

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

__all__ = ["LazyGroup", "Table"]

Table: TypeAlias = "dict[str, tuple[str, str, str] | type[LazyGroup]]"


class LazyGroup(TyperGroup):
    """`table` maps a name to (module, attribute, one-line help), or to another LazyGroup class.

    The attribute is a typer-annotated function; its attribute `command_class`, where it has one, is the class of the command.
    """

    table: ClassVar[Table] = {}

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, entry in self.table.items():
            if isinstance(entry, tuple):
                self.commands[name] = TyperCommand(name, help=entry[2])
            else:
                self.commands[name] = entry(name=name, help=entry.__doc__, no_args_is_help=True)

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the table's order, which is the order of the stages."""
        return list(self.commands)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """As the base class, with the named command really imported."""
        name, command, rest = super().resolve_command(ctx, args)
        entry = self.table.get(name or "")
        return name, _load(name or "", entry) if isinstance(entry, tuple) else command, rest


def _load(name: str, entry: tuple[str, str, str]) -> Any:
    module, attribute, text = entry
    function = getattr(importlib.import_module(module), attribute)
    app = typer.Typer(add_completion=False)
    app.command(name, cls=getattr(function, "command_class", TyperCommand), help=function.__doc__ or text)(function)
    return get_command(app)
