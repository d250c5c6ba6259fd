"""The tags of a tagger, in the order of its outputs."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

from configs.errors import InputError
from labeling.tags.spelling import spell

__all__ = ["TagList"]


@dataclass(frozen=True)
class TagList:
    """tags: spelled as `spell` does, in the model's order; wd14: the file has the columns of WD14's `selected_tags.csv`, whose
    models want BGR pixels of 0 … 255."""

    path: Path
    tags: tuple[str, ...]
    wd14: bool = False

    @classmethod
    def read(cls, path: Path) -> TagList:
        """One tag a line, a JSON list, or a CSV with a column `name` (others are passed over).

        Raises:
            InputError: no such file, or no list of tags.
        """
        try:
            text = path.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise InputError(f"Expected a list of tags at {path}, found: {error.strerror}. Correct --tag-list.") from error
        except UnicodeDecodeError as error:
            raise InputError(f"Expected text in UTF-8 in {path}, found: {error}. Correct --tag-list.") from error
        lines = [line for line in text.splitlines() if line.strip()]
        header = [name.strip().lower() for name in next(csv.reader(lines[:1]), [])]
        if text.lstrip().startswith("["):
            tags = _json(path, text)
        elif "name" in header:
            column = header.index("name")
            tags = [cells[column] if len(cells) > column else "" for cells in csv.reader(lines[1:])]
        else:
            tags = lines
        if not tags or not all(tag.strip() for tag in tags):
            raise InputError(f"Expected one tag a line, or a column name, in {path}, found an empty one. Correct --tag-list.")
        return cls(path, tuple(map(spell, tags)), {"tag_id", "name", "category"} <= set(header))


def _json(path: Path, text: str) -> list[str]:
    try:
        tags = json.loads(text)
    except ValueError as error:
        raise InputError(f"Expected a JSON list of tags in {path}, found: {error}. Correct --tag-list.") from error
    if not all(isinstance(tag, str) for tag in tags):
        raise InputError(f"Expected a JSON list of text in {path}, found other things in it. Correct --tag-list.")
    return list(tags)
