"""Files after IDs, and the CSV that lists IDs."""

from __future__ import annotations

import gc
import os
import re
import threading
from pathlib import Path

import pytest

from configs.errors import InputError
from sga.generation.ids import read_ids
from sga.generation.names import avatar_name
from sga.model_folder import ModelFolder, ModelSpec

PLAIN = ["user-42", "a", "0", "_x", "a.b_c-d", "x" * 80, "com10"]
NOT_PLAIN = [
    *(
        "User-42",
        "USER-42",
        "user 42",
        "a/b",
        "..",
        ".",
        ".hidden",
        "-rf",
        "a\\b",
        "a:b",
        "日本",
        "é",
        "e\u0301",
        "a\nb",
        "~",
        " ",
    ),
    *("x" * 81, "y" * 300, "con", "NUL", "aux.txt", "com1", "lpt9.tar.gz", "end.", "sheet", "index", "user-42~female", "a\0b"),
]


@pytest.fixture(scope="module")
def spec(model_path: Path) -> ModelSpec:
    return ModelFolder.load(model_path).spec


def test_a_plain_id_is_its_own_name() -> None:
    assert [avatar_name(identity) for identity in PLAIN] == [f"{identity}.png" for identity in PLAIN]
    assert avatar_name("user-42", "any") == "user-42.png"
    assert avatar_name("user-42", "female") == "user-42~female.png"


def test_any_other_has_a_digest_and_is_safe() -> None:
    for identity in NOT_PLAIN:
        name = avatar_name(identity)
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,39}~[0-9a-f]{16}\.png", name), (identity, name)
        stem = name.partition(".")[0].lower()
        assert not re.fullmatch(r"con|nul|aux|com\d|lpt\d", stem)
    assert avatar_name("User-42") == avatar_name("User-42")
    assert avatar_name("User-42").startswith("User-42~")


def test_no_two_ids_share_a_name_even_without_case() -> None:
    names = [avatar_name(identity, gender).lower() for identity in [*PLAIN, *NOT_PLAIN] for gender in (None, "female", "male")]
    assert len(set(names)) == len(names)
    digest = avatar_name("User-42").removesuffix(".png")
    assert avatar_name(digest) != avatar_name("User-42")


def table(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "ids.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_csv_as_spreadsheets_write_it(tmp_path: Path, spec: ModelSpec) -> None:
    text = '\ufeffName,ID,Gender\r\nx,"a,b",male\r\ny,"say ""hi""",\r\n\r\nz,"two\nlines",any\r\n'
    ids = read_ids(table(tmp_path, text), spec)
    assert list(ids) == [("a,b", "male"), ('say "hi"', None), ("two\nlines", "any")]
    assert (len(ids), ids.duplicates, ids.ignored, ids.spaced) == (3, 0, ("Name",), 0)
    assert list(ids) == list(ids)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators(tmp_path: Path, spec: ModelSpec, separator: str) -> None:
    text = f"id{separator}gender\nuser-1{separator}female\nuser-2{separator}\n"
    assert list(read_ids(table(tmp_path, text), spec)) == [("user-1", "female"), ("user-2", None)]


def test_an_id_is_drawn_once_for_each_gender(tmp_path: Path, spec: ModelSpec) -> None:
    text = "id,gender\na,\na,any\na,female\na,female\nA,\n a,\n"
    ids = read_ids(table(tmp_path, text), spec)
    assert list(ids) == [("a", None), ("a", "female"), ("A", None), (" a", None)]
    assert (ids.count, ids.duplicates, ids.spaced) == (4, 2, 1)


def test_the_option_fills_empty_genders(tmp_path: Path, spec: ModelSpec) -> None:
    text = "id,gender\na,\nb,male\nc\n"
    assert list(read_ids(table(tmp_path, text), spec, "female")) == [("a", "female"), ("b", "male"), ("c", "female")]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("id\na\n\n\n \n", "Expected an ID in line 5"),
        ('id,name\na,x\n"",y\n', "Expected an ID in line 3"),
        ("name,id\na\n", "Expected an ID in line 2"),
        ("id,gender\na,female\nb,woman\n", r"Expected a gender \(female, male, any or empty\) in line 3 .* found 'woman'"),
        ("name\na\n", "Expected one column id, .* found: name"),
        ("id,id\na,b\n", "Expected one column id"),
        ("", "found: an empty file"),
        ("id\n", "Expected at least one ID"),
        ("id,name\na,b,c\n", "Expected 2 columns in line 2 .*, found 3"),
        (b"id\n\xff\xfe\n", "Expected a CSV in UTF-8"),
        ('id\n"a\n', "Expected a CSV in UTF-8 at .*, found in line 2: .* Close each quote there"),
        ('id\n"a"b\n', "Expected a CSV in UTF-8 at .*, found in line 2: .* Close each quote there"),
        ('id\na\n"b\nc\nd\n', "found in lines 3 to 5: unexpected end of data. Close each quote"),
        pytest.param('id\na\n"b\n' + "c\n" * 70_000, r"in lines 3 to \d+: field larger .* Close each quote", id="long"),
        ('"id\n', "found in line 1: unexpected end of data. Close each quote"),
        ("id,gender\na,\nb,Male\n", r"Expected a gender .* in line 3 .*, found 'Male'\. Did you mean male\?$"),
        ("id,gender\na,FEMALE\n", r"found 'FEMALE'\. Did you mean female\?$"),
        ("id,gender\na,x\n", r"found 'x'\. Write one of those\.$"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_drawn(tmp_path: Path, spec: ModelSpec, text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read_ids(table(tmp_path, text), spec)


def test_a_header_of_several_lines(tmp_path: Path, spec: ModelSpec) -> None:
    ids = read_ids(table(tmp_path, '"full\nname";"ID";gender\nx;a;male\ny;b\n'), spec)
    assert list(ids) == [("a", "male"), ("b", None)]
    assert ids.ignored == ("full\nname",)


def test_a_pipe_is_read_once(spec: ModelSpec) -> None:
    text = "name;id\n" + "".join(f"x;user-{number}\n" for number in range(20_000))
    read, write = os.pipe()

    def fill() -> None:
        with os.fdopen(write, "w") as handle:
            handle.write(text)

    with os.fdopen(read):
        threading.Thread(target=fill, daemon=True).start()
        ids = read_ids(f"/dev/fd/{read}", spec)
    for _ in range(2):
        assert list(ids) == [(f"user-{number}", None) for number in range(20_000)]


@pytest.mark.parametrize("way", ["replaced", "emptied", "removed"])
def test_what_was_checked_is_drawn_whatever_becomes_of_the_file(tmp_path: Path, spec: ModelSpec, way: str) -> None:
    path = table(tmp_path, "id,gender\na,\nb,male\n")
    ids = read_ids(path, spec)
    if way == "removed":
        path.unlink()
    else:
        path.write_text("id,gender\nc,woman\n" if way == "replaced" else "")
    assert list(ids) == [("a", None), ("b", "male")]


def test_the_temporary_file_goes_with_the_table(tmp_path: Path, spec: ModelSpec) -> None:
    ids = read_ids(table(tmp_path, "id\na\n"), spec)
    pairs = ids.pairs
    assert not pairs.closed
    del ids
    gc.collect()
    assert pairs.closed


def test_a_folder_is_no_csv(tmp_path: Path, spec: ModelSpec) -> None:
    with pytest.raises(InputError, match=r"Expected a CSV of IDs at .*, found: Is a directory\. Name a file"):
        read_ids(tmp_path, spec)


def test_no_such_file(tmp_path: Path, spec: ModelSpec) -> None:
    with pytest.raises(InputError, match="found no such file"):
        read_ids(tmp_path / "none.csv", spec)
    with pytest.raises(InputError, match="Expected a gender"):
        read_ids(table(tmp_path, "id\na\n"), spec, "woman")


def test_memory_does_not_grow_with_the_rows(tmp_path: Path, spec: ModelSpec) -> None:
    """IDs are read with a small part of what the rows take: 16 bytes of each are kept, to find duplicates."""
    import tracemalloc

    path = table(tmp_path, "id,note\n" + "".join(f"user-{number},{'x' * 2000}\n" for number in range(20_000)))
    tracemalloc.start()
    ids = read_ids(path, spec)
    assert sum(1 for _ in ids) == ids.count == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20
    assert path.stat().st_size > 38 * 2**20
