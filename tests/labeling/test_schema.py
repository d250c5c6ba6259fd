"""The schema: everything positional derives from it, and it refuses to contradict itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs import preset_names
from configs.errors import ConfigError, InputError, UserError
from labeling.schema import Attribute, Schema

MIXED = """
name: mixed
attributes:
  - {name: gender, kind: exclusive, role: gender, values: [female, male]}
  - {name: hat, kind: independent, role: style}
  - {name: hair, kind: exclusive, role: style, values: [red, green, blue]}
  - {name: quality, kind: ordinal, role: quality, values: [low, median, high]}
"""


@pytest.mark.parametrize("name", preset_names("attributes"))
def test_schemas_that_ship(name: str) -> None:
    schema = Schema.load(name)
    assert schema.name == name
    assert [a.values for a in schema.with_role("gender")] == [("female", "male")]  # code 0 female, 1 male
    assert [a.kind for a in schema.with_role("quality")] == ["ordinal"]
    assert Schema.from_json(schema.to_json()) == schema


def test_the_34_tags() -> None:
    """Jin et al. 2017, Table 1: 13 hair colours, 11 independent tags, 10 eye colours."""
    schema = Schema.load("moe34")
    assert sum(attribute.logits for attribute in schema.with_role("style")) == 34


def test_positions(tmp_path: Path) -> None:
    (tmp_path / "mixed.yaml").write_text(MIXED)
    schema = Schema.load(tmp_path / "mixed.yaml")
    assert schema.logit_slices == {"gender": slice(0, 2), "hat": slice(2, 3), "hair": slice(3, 6), "quality": slice(6, 7)}
    assert schema.logit_width == 7
    assert schema.names == ("gender", "hat", "hair", "quality")
    assert [schema["quality"].target(code) for code in range(3)] == [0, 0.5, 1]
    assert schema["hat"].values == ("no", "yes")
    assert "hair" in schema
    assert "beard" not in schema


def test_the_hash_names_the_schema(tmp_path: Path) -> None:
    (tmp_path / "mixed.yaml").write_text(MIXED)
    (tmp_path / "other.yaml").write_text(MIXED.replace("red, green", "green, red"))
    schema = Schema.load(tmp_path / "mixed.yaml")
    assert schema.hash == Schema.load(tmp_path / "mixed.yaml").hash
    assert schema.hash != Schema.load(tmp_path / "other.yaml").hash
    assert len(schema.hash) == 12


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("[red, green, blue]", "[red, red]", "two different values"),
        ("[red, green, blue]", "[red, unknown]", "cannot be values"),
        ("name: hat", "name: gender", "must be different"),
        ("name: hat", "name: split", "column of the label table"),
        ("name: hat", "name: Hat!", "name"),
        ("kind: independent", "kind: maybe", "kind"),
        ("kind: independent", "knd: independent", "knd"),
        ("kind: independent, role: style", "kind: independent, role: style, values: [bare, worn]", "no and yes"),
        ("name: mixed", "name: [mixed", "Expected YAML"),
    ],
)
def test_contradictions_name_the_field(tmp_path: Path, before: str, after: str, said: str) -> None:
    assert before in MIXED
    (tmp_path / "bad.yaml").write_text(MIXED.replace(before, after, 1))
    with pytest.raises(ConfigError) as caught:
        Schema.load(tmp_path / "bad.yaml")
    assert said in str(caught.value)


def test_unknown_names_come_with_the_nearest() -> None:
    schema = Schema.load("faces")
    with pytest.raises(InputError, match=r"found 'haircolor'. Did you mean hair_color\?"):
        schema["haircolor"]
    with pytest.raises(InputError, match=r"found 'blond'. Did you mean blonde\?"):
        schema["hair_color"].code("blond")
    with pytest.raises(ConfigError, match=r"Did you mean faces\?"):
        Schema.load("facse")
    with pytest.raises(UserError, match="Expected a schema as JSON"):
        Schema.from_json("{}")


def test_attributes_are_frozen() -> None:
    attribute = Attribute(name="hat", kind="independent", role="style")
    with pytest.raises(ValueError, match="frozen"):
        attribute.name = "cap"  # type: ignore[misc]
