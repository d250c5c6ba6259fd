"""What `sga generate` is asked for: by gender, by ID, or after a picture, and which options go with each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

from configs.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from sga.model_folder import ModelSpec

__all__ = ["Asked", "GenerateCommand", "asked_mode", "attribute_values", "option"]

MODES = ("id", "ids", "like", "mix", "variations", "again")
"""Options of which at most one may be given; without any, faces of a gender are drawn."""

_SEEDED = ("gender", "like", "mix", "variations")
_GOES_WITH: Mapping[str, tuple[str, ...]] = {
    "gender": ("gender", "id", "ids", "like", "mix"),
    "count": _SEEDED,
    "seed": _SEEDED,
    "min_quality": _SEEDED,
    "max_attempts": _SEEDED,
    "on_exhausted": _SEEDED,
    "where": ("gender",),
    "attribute": ("gender",),
    "truncation": ("gender", "like", "mix"),
    "strength": ("variations",),
    "to": (*_SEEDED, "id", "ids"),
    "size": (*_SEEDED, "id", "ids"),
    "registry": ("id", "ids"),
    "min_distance": ("id", "ids"),
}


class GenerateCommand(TyperCommand):
    """A `--sheet` alone names the default file, and an option that is none of the command's is one of the model's attributes of
    style, which are known when the model is: `--hair-color pink` becomes `--attribute=--hair-color=pink`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Rewrite both, and leave the rest to the base class."""
        taken = {name: _values(param) for param in self.get_params(ctx) for name in (*param.opts, *param.secondary_opts)}
        return super().parse_args(ctx, list(_rewritten(args, taken)))


def _values(param: Any) -> int:
    return 0 if getattr(param, "is_flag", False) or getattr(param, "count", False) else int(param.nargs)


def _rewritten(args: Sequence[str], taken: Mapping[str, int]) -> Iterable[str]:
    """taken: how many values follow each option of the command."""
    place = 0
    while place < len(args):
        word, after = args[place], args[place + 1 : place + 2]
        place += 1
        if word == "--":
            yield from args[place - 1 :]
            return
        name, separator, _ = word.partition("=")
        has_value = bool(after) and not after[0].startswith("-")
        if word == "--sheet" and not has_value:
            yield "--sheet="
        elif not name.startswith("--") or name in taken:
            end = place if separator or not name.startswith("-") else place + taken.get(name, 0)
            yield from (word, *args[place:end])
            place = end
        elif separator:
            yield f"--attribute={word}"
        else:  # alone it means yes: --glasses
            yield f"--attribute={word}={after[0] if has_value else 'yes'}"
            place += has_value


def option(name: str) -> str:
    """How a parameter is typed."""
    return f"--{name.replace('_', '-')}"


@dataclass(frozen=True)
class Asked:
    """What the faces are drawn by: "gender" or one of MODES; given: the options that were typed."""

    mode: str
    given: frozenset[str]


def asked_mode(is_given: Callable[[str], bool]) -> Asked:
    """Which of MODES was typed, and whether the other options go with it.

    Raises:
        InputError: two of them, none and no gender either, or an option that has no meaning there.
    """
    modes = [name for name in MODES if is_given(name)]
    if len(modes) > 1:
        raise InputError(
            f"Expected one of {', '.join(map(option, MODES))}, found {' and '.join(map(option, modes))}. Leave one out."
        )
    given = frozenset(name for name in _GOES_WITH if is_given(name))
    mode = modes[0] if modes else "gender"
    if mode == "gender" and "gender" not in given:
        raise InputError(
            "Expected --gender female, male or any, or one of "
            f"{', '.join(map(option, MODES))}, found none of them. Type: sga generate --gender female"
        )
    _check_together(Asked(mode, given))
    return Asked(mode, given)


def _check_together(asked: Asked) -> None:
    """Refuse options that the mode does not read.

    Raises:
        InputError: names the first, and what it goes with.
    """
    for name in _GOES_WITH:
        if name in asked.given and asked.mode not in _GOES_WITH[name] and name != "attribute":
            others = ", ".join(map(option, _GOES_WITH[name]))
            raise InputError(f"Expected {option(name)} with {others} alone, found it with {option(asked.mode)}. Leave it out.")


def attribute_values(
    asked: Asked, where: Sequence[str], attributes: Sequence[str], spec: ModelSpec, names: Sequence[str]
) -> dict[str, str]:
    """Value by name of an attribute, of `--where NAME=VALUE` and of options such as `--hair-color pink`. names: the command's
    options, for what may have been meant.

    Raises:
        InputError: no such option, no NAME=VALUE, or two values for one attribute.
    """
    pairs: dict[str, str] = {}
    style = [attribute.name for attribute in spec.attributes.with_role("style")]
    for item in attributes:
        typed, _, value = item.partition("=")
        name = typed.removeprefix("--").replace("-", "_")
        if name not in style:
            _refuse(typed, [*names, *map(option, style)], ", ".join(map(option, style)) or "none")
        if asked.mode != "gender":
            raise InputError(f"Expected {typed} with --gender alone, found it with {option(asked.mode)}. Leave it out.")
        _put(pairs, name, value)
    for item in where:
        name, separator, value = item.partition("=")
        if not separator or not name or not value:
            raise InputError(f"Expected NAME=VALUE, found {item!r}. Type, for example: --where hair_color=blue")
        _put(pairs, name, value)
    return pairs


def _put(pairs: dict[str, str], name: str, value: str) -> None:
    if pairs.get(name, value) != value:
        raise InputError(f"Expected one value of {name}, found {pairs[name]} and {value}. Leave one out.")
    pairs[name] = value


def _refuse(typed: str, known: Sequence[str], style: str) -> None:
    hint = did_you_mean(typed, known) or " See: sga generate --help"
    raise InputError(
        f"Expected an option of sga generate or an attribute of style of this model ({style}), found {typed}.{hint}"
    )
