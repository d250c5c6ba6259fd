"""Tags: how they are spelled, what they mean in a schema, and every form of file they come in."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from configs.errors import ConfigError, InputError
from labeling.schema import Schema
from labeling.tags.meaning import Meaning, TagMap
from labeling.tags.reading import read_tags, tags_of_json
from labeling.tags.spelling import parse_tags, spell

MOE, FACES = Schema.load("moe34"), Schema.load("faces")


def meaning(schema: Schema = MOE, **options: Any) -> Meaning:
    return Meaning.of(TagMap.load("booru"), schema, **options)


def told(tags: dict[str, float] | str, schema: Schema = MOE, **options: Any) -> dict[str, str]:
    """The labels of tags as value names."""
    given = dict.fromkeys(parse_tags(tags), 1.0) if isinstance(tags, str) else tags
    said = meaning(schema, **options).labels(given)
    return {name: schema[name].values[code] for name, code in said.codes.items()}


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("1girl, blonde hair, smile", ["1girl", "blonde hair", "smile"]),
        ("1girl,blonde_hair,\nSmile,", ["1girl", "blonde hair", "smile"]),
        ("1girl blonde_hair smile\n", ["1girl", "blonde hair", "smile"]),
        ("1girl solo\nblonde_hair smile", ["1girl", "solo", "blonde hair", "smile"]),
        ("1girl\r\nblonde hair\r\nsmile", ["1girl", "blonde hair", "smile"]),
        ("\ufeffsmile", ["smile"]),
        (r"hatsune_miku \(series\), saber_(fate), \(o\)", ["hatsune miku (series)", "saber (fate)", "(o)"]),
        (r"saber_\(fate\) long_hair", ["saber (fate)", "long hair"]),
        ("(blonde hair:1.2), ((smile)), [blush], {open mouth}", ["blonde hair", "smile", "blush", "open mouth"]),
        ("(blonde hair, long hair:1.3), hat", ["blonde hair", "long hair", "hat"]),
        ("((blush, smile)), [hat, saber_(fate)], (:d, ^_^)", ["blush", "smile", "hat", "saber (fate)", ":d", "^ ^"]),
        ("(saber_(fate)), ((saber_(zero):1.2)), 8)", ["saber (fate)", "saber (zero)", "8)"]),
        ("1girl\nlong hair\nblue eyes\n^_^", ["1girl", "long hair", "blue eyes", "^ ^"]),
        ("1girl\nlong_hair\nsmile", ["1girl", "long hair", "smile"]),
        (":d, :), ^_^, :3, >:(", [":d", ":)", "^ ^", ":3", ">:("]),
        ("smile, SMILE, smile", ["smile"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_lists_of_tags(text: str, tags: list[str]) -> None:
    assert parse_tags(text) == tags


def test_one_spelling() -> None:
    assert {spell(tag) for tag in ("Long_Hair", "long  hair", " long hair ")} == {"long hair"}


def test_tags_mean_labels_of_the_schema() -> None:
    found = told("1girl, silver_hair, aqua_eyes, very_long_hair, twin_drills, hair_ribbon, :d, closed_eyes, grin")
    assert found == {
        "gender": "female",
        "hair_color": "silver",
        "eye_color": "aqua",
        "long_hair": "yes",
        "drill_hair": "yes",
        "ribbon": "yes",
        "smile": "yes",
        "open_mouth": "yes",
    }
    assert told("1boy, grey hair, closed_mouth") == {"gender": "male", "hair_color": "gray", "open_mouth": "no"}


def test_a_value_that_the_schema_lacks_is_the_next_or_nothing() -> None:
    assert told("silver hair, grey eyes", FACES) == {"hair_color": "gray", "eye_color": "gray"}
    assert told("silver hair, grey eyes", MOE) == {"hair_color": "silver"}  # no gray eyes there
    assert "grey eyes" in meaning().known - meaning().useful


@pytest.mark.parametrize("schema", [MOE, FACES])
def test_every_value_but_quality_has_a_tag_of_its_own(schema: Schema) -> None:
    bound = meaning(schema)
    for attribute in schema:
        values = ("yes",) if attribute.kind == "independent" else attribute.values
        for value in values if attribute.role != "quality" else ():
            code = attribute.code(value)
            assert bound.labels({bound.own[attribute.name, code]: 1.0}).codes[attribute.name] == code


def test_two_values_of_one_attribute_contradict() -> None:
    said = meaning().labels(
        dict.fromkeys(("1girl", "1boy", "blonde hair", "black hair", "open mouth", "closed mouth", "smile"), 1.0)
    )
    assert list(said.codes) == ["smile"]
    assert said.clashes == {
        "gender": ("female", "male"),
        "hair_color": ("blonde", "black"),
        "open_mouth": ("no", "yes"),
    }
    assert told("light_blue_hair, blue_hair") == {"hair_color": "blue"}  # two tags of one value do not


def test_probabilities_as_in_the_paper() -> None:
    """Jin et al. 2017, section 3.2: the most probable of those that exclude each other; 0.25 for the others."""
    tags = {"blonde hair": 0.6, "brown hair": 0.7, "smile": 0.25, "blush": 0.24, "red eyes": 0.1, "blue eyes": 0.2}
    said = meaning().labels(tags)
    named = {name: MOE[name].values[code] for name, code in said.codes.items()}
    assert named == {"hair_color": "brown", "smile": "yes", "blush": "no"}  # no eye colour reaches 0.25
    assert said.confidence == {"hair_color": 0.7, "smile": 0.25, "blush": pytest.approx(0.76)}


def test_absence_is_only_said_by_the_own_tag() -> None:
    assert told({"beret": 0.01}) == {}  # no beret is not no hat
    assert told({"hat": 0.01, "beret": 0.9}) == {"hat": "yes"}
    assert told({"hat": 0.01, "beret": 0.02}) == {"hat": "no"}
    assert told("smile") == {"smile": "yes"}
    complete = told("smile", complete=True)
    assert {name for name, value in complete.items() if value == "no"} == {
        *("long_hair", "short_hair", "twintails", "drill_hair", "ponytail", "blush"),
        *("open_mouth", "hat", "ribbon", "glasses"),
    }
    assert "hair_color" not in complete
    assert told("", complete=True) == {}  # an empty list says nothing


def test_thresholds() -> None:
    tags = {"smile": 0.5, "blush": 0.5, "red hair": 0.5}
    assert told(tags, threshold=0.6) == {"smile": "no", "blush": "no"}
    assert told(tags, thresholds={"smile": 0.6}) == {"smile": "no", "blush": "yes", "hair_color": "red"}
    with pytest.raises(ConfigError, match="smil"):
        meaning(thresholds={"smil": 0.6})


def test_a_map_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("extends: booru\nmeaning:\n  smile: {yes: [happy], no: [sad]}\n")  # YAML reads yes and no as truth values
    bound = Meaning.of(TagMap.load(path), MOE)
    assert bound.labels({"happy": 1.0}).codes == {"smile": 1}
    assert bound.labels({"sad": 1.0}).codes == {"smile": 0}
    assert bound.labels({"red hair": 1.0}).codes["hair_color"] == MOE["hair_color"].code("red")
    path.write_text("meaning: {tail: {fluffy: [fluffy tail]}}")
    with pytest.raises(ConfigError, match="tag map of schema moe34"):
        Meaning.of(TagMap.load(path), MOE)
    path.write_text("meaning: [smile]")
    with pytest.raises(ConfigError, match="meaning"):
        TagMap.load(path)
    with pytest.raises(ConfigError, match="Did you mean booru"):
        TagMap.load("boru")


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        ("1girl, smile", {"1girl": 1, "smile": 1}),
        (["1girl", "long_hair"], {"1girl": 1, "long hair": 1}),
        ({"tags": {"Long_Hair": 0.5}}, {"long hair": 0.5}),
        ({"blonde_hair": 0.9, "smile": 1}, {"blonde hair": 0.9, "smile": 1}),
        (
            {"general": [["smile", 0.7], ["1girl", 0.9]], "character": [], "rating": [["safe", 0.9]]},
            {"smile": 0.7, "1girl": 0.9},
        ),
        (
            {"tag_string": "1girl long_hair", "tag_string_general": "1girl", "id": 3, "rating": "s"},
            {"1girl": 1, "long hair": 1},
        ),
        ({"tags": []}, {}),
        ({"tags": None, "tag_string_general": "a", "tag_string_character": "b"}, {"a": 1, "b": 1}),
        ({"tags": "", "general": ["a"], "tag_string": None}, {"a": 1}),
        ({"tags": {"general": ["a"], "character": ["b"]}}, {"a": 1, "b": 1}),
        (["smile\ud800"], {"smile?": 1}),
    ],
)
def test_json(value: Any, tags: dict[str, float]) -> None:
    assert tags_of_json(value) == tags


@pytest.mark.parametrize(
    "value",
    [
        *(3, None, [["smile"]], {"tags": {"smile": 1.5}}, {"width": "96"}, [["smile", -1]], {"a": float("nan")}),
        *([["smile", None]], [["smile", [1]]], {"smile": 10**400}, {"tags": None}, [None]),
    ],
)
def test_other_json_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        tags_of_json(value)


def files_of(folder: Path) -> list[Path]:
    """One content in every form of probabilities."""
    rows = [("a.png", {"blonde hair": 0.8, "smile": 0.1}), ("b/c.png", {"blonde hair": 0.2, "smile": 0.6})]
    (folder / "wide.csv").write_text("file,blonde_hair,smile\na.png,0.8,0.1\n\nb/c.png,0.2,0.6\n")
    pq.write_table(
        pa.table(
            {
                "file": [f for f, _ in rows],
                "blonde hair": [t["blonde hair"] for _, t in rows],
                "smile": [t["smile"] for _, t in rows],
            }
        ),
        folder / "wide.parquet",
    )
    (folder / "lines.jsonl").write_text("\n".join(json.dumps({"file": f, "tags": t}) for f, t in rows) + "\n")
    (folder / "i2v.json").write_text(json.dumps([{"file": f, "general": [[a, b] for a, b in t.items()]} for f, t in rows]))
    return sorted(folder.iterdir())


def test_files_of_probabilities(tmp_path: Path) -> None:
    for path in files_of(tmp_path):
        found = {file: tags for file, (_, tags) in read_tags(path).items()}
        assert found == {
            "a.png": {"blonde hair": 0.8, "smile": 0.1},
            "b/c.png": {"blonde hair": 0.2, "smile": 0.6},
        }, path.name


def test_a_csv_of_lists(tmp_path: Path) -> None:
    path = tmp_path / "tags.csv"
    path.write_text('file,tags,score\na.png,"1girl, long hair",3\nb.png,1boy short_hair,4\na.png,smile,1\nc.png,,0\n')
    assert read_tags(path) == {
        "a.png": (2, {"1girl": 1.0, "long hair": 1.0, "smile": 1.0}),
        "b.png": (3, {"1boy": 1.0, "short hair": 1.0}),
        "c.png": (5, {}),
    }


def test_an_empty_cell_is_not_known(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text("file,smile,hat\na.png,,0.1\n")
    assert read_tags(path)["a.png"][1] == {"hat": 0.1}
    pq.write_table(pa.table({"file": ["a.png"], "smile": pa.array([None], pa.float32()), "hat": [0.1]}), tmp_path / "w.parquet")
    assert read_tags(tmp_path / "w.parquet")["a.png"][1] == {"hat": 0.1}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "file,smile\na.png,1.5\n", r"row 2 .*1\.5 as the probability of smile"),
        ("a.csv", "file,smile\na.png,often\n", "row 2 .*often"),
        ("a.csv", "file,smile\na.png\n", "2 cells in row 2"),
        ("a.csv", "picture,smile\na.png,1\n", "column file"),
        ("a.csv", "file,smile,smile\na.png,1,1\n", "each once"),
        ("a.csv", "file\na.png\n", "column file"),
        ("a.csv", "", "found nothing"),
        ("a.csv", "file,tags\n,smile\n", "under file in row 2"),
        ("a.jsonl", '{"file": "a.png", "tags": []}\n{"file"', r"one object a line.*line 2"),
        ("a.jsonl", '{"tags": []}', 'a "file"'),
        ("a.jsonl", '{"file": "a.png", "tags": {"smile": 7}}', "line 1 .*7 as the probability"),
        ("a.json", "[3]", 'a "file"'),
        ("a.json", "null", 'a "file".* line 1'),
        ("a.json", '[{"file": "a.png", "tags": [["smile", null]]}]', "line 1 .*None as the probability of smile"),
        ("a.json", '[{"file": "a.png", "smile": null}]', "line 1 .*None under 'smile'"),
        ("a.jsonl", '{"file": "a.png", "smile": 1' + "0" * 400 + "}", "line 1 .*100000.* as the probability of smile"),
        ("a.jsonl", '{"file": "a.png", "smile": 1' + "0" * 5000 + "}", r"Expected JSON.*\(line 1\)"),
        ("a.jsonl", '{"file": "a.png", "tags": ' + "[" * 100_000, r"Expected JSON.*\(line 1\)"),
        ("a.parquet", "no table", "parquet"),
        ("a.txt", "smile", "word sidecar"),
    ],
)
def test_wrong_files_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message) as refused:
        read_tags(tmp_path / name)
    assert name in str(refused.value)


def test_a_parquet_column_of_dates_is_named(tmp_path: Path) -> None:
    path = tmp_path / "wide.parquet"
    pq.write_table(pa.table({"file": ["a.png", "b.png"], "smile": [0.5, 0.5], "drawn": [None, date(2005, 3, 1)]}), path)
    with pytest.raises(InputError, match=r"row 2 of .*wide\.parquet.*2005, 3, 1.* as the probability of drawn"):
        read_tags(path)


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_tags(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes("file,tags\na.png,caf\xe9\n".encode("latin-1"))
    with pytest.raises(InputError, match="UTF-8"):
        read_tags(tmp_path / "latin.csv")


def test_the_map_that_ships_names_no_tag_twice_for_nothing() -> None:
    raw = yaml.safe_load((Path(__file__).parents[2] / "configs/tags/booru.yaml").read_text())
    for name, values in raw["meaning"].items():
        for value, tags in values.items():
            assert isinstance(value, str), f"{name}: quote {value}"
            assert len({spell(tag) for tag in tags}) == len(tags), f"{name}={value}"
