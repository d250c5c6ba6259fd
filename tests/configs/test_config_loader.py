"""Presets, files and overrides become frozen settings; a mistake names the field."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from configs import Settings, load_settings, preset_names
from configs.errors import ConfigError
from configs.loader import make_settings, read_preset


class Inner(Settings):
    rate: float = Field(0.1, gt=0)


class Outer(Settings):
    images: int = 5
    name: str = "x"
    inner: Inner = Inner()


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


def test_files_and_overrides(tmp_path: Path) -> None:
    path = write(tmp_path, "a", "images: 7\ninner: {rate: 0.5}\n")
    assert load_settings(Outer, "gan", path) == Outer(images=7, inner=Inner(rate=0.5))
    assert load_settings(Outer, "gan", path, ["inner.rate=2", "name=y"]) == Outer(images=7, name="y", inner=Inner(rate=2))
    assert load_settings(Outer, "gan", write(tmp_path, "empty", "")) == Outer()


def test_a_file_extends_another(tmp_path: Path) -> None:
    base = write(tmp_path, "base", "images: 7\nname: base\ninner: {rate: 0.5}\n")
    path = write(tmp_path, "child", f"extends: {base}\nname: child\n")
    assert load_settings(Outer, "gan", path) == Outer(images=7, name="child", inner=Inner(rate=0.5))


class Part(Settings):
    name: str
    arguments: dict[str, int] = Field(default_factory=dict)


class Machine(Settings):
    part: Part


def test_another_thing_does_not_inherit_the_arguments_of_the_one_before(tmp_path: Path) -> None:
    base = write(tmp_path, "base", "part: {name: wheel, arguments: {spokes: 8, size: 3}}\n")
    same = write(tmp_path, "same", f"extends: {base}\npart: {{name: wheel, arguments: {{size: 4}}}}\n")
    other = write(tmp_path, "other", f"extends: {base}\npart: {{name: ski, arguments: {{length: 2}}}}\n")
    assert load_settings(Machine, "gan", same).part == Part(name="wheel", arguments={"spokes": 8, "size": 4})
    assert load_settings(Machine, "gan", other).part == Part(name="ski", arguments={"length": 2})
    assert load_settings(Machine, "gan", base, ["part.name=ski"]).part == Part(name="ski")
    assert load_settings(Machine, "gan", base, ["part.arguments.size=5"]).part.arguments == {"spokes": 8, "size": 5}


@pytest.mark.parametrize(
    ("text", "overrides", "said"),
    [
        ("imagse: 7", [], "unknown field 'imagse': did you mean images?"),
        ("inner: {rate: -1}", [], "inner.rate: Input should be greater than 0"),
        ("images: many", [], "images: Input should be a valid integer"),
        ("", ["images"], "Expected key=value, found 'images'"),
        ("", ["inner.rat=1"], "inner.rat"),
        ("[1, 2]", [], "found a list"),
        ("a: [", [], "Expected YAML"),
        ("extends: nowhere", [], "found 'nowhere'"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(Outer, "gan", write(tmp_path, "bad", text), overrides)
    assert said in str(caught.value)


def test_an_override_that_is_no_yaml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="images"):
        load_settings(Outer, "gan", write(tmp_path, "a", ""), ["images=[1"])


def test_files_that_extend_each_other(tmp_path: Path) -> None:
    a, b = tmp_path / "a.yaml", tmp_path / "b.yaml"
    write(tmp_path, "a", f"extends: {b}")
    write(tmp_path, "b", f"extends: {a}")
    with pytest.raises(ConfigError, match="each other"):
        load_settings(Outer, "gan", a)


def test_a_preset_that_does_not_exist() -> None:
    assert preset_names("attributes") == ["faces", "moe34"]
    with pytest.raises(ConfigError, match=r"found 'moe3'. Did you mean moe34\?"):
        read_preset("attributes", "moe3")


def test_settings_from_values_name_their_origin() -> None:
    assert make_settings(Outer, {"images": 3}) == Outer(images=3)
    with pytest.raises(ConfigError, match="the command line"):
        make_settings(Outer, {"images": "x"})


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Outer().images = 3  # type: ignore[misc]
