"""Questions to Label Studio's tasks, and exported tasks back to what was said of each face."""

from __future__ import annotations

import io
import math
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from PIL import Image, ImageDraw

from labeling.schema import Attribute
from labeling.studio.interface import CELLS, names, possible_choices
from labeling.studio.loosely import as_integer, as_list, as_number, as_share, as_text, as_time
from labeling.studio.projects import Layout

__all__ = [
    "Question",
    "Told",
    "asked_in",
    "blank_picture",
    "build_prediction",
    "build_tasks",
    "read_task",
    "shown_in",
    "with_predictions",
]


@dataclass(frozen=True)
class Question:
    """A face to ask about.

    key: its identity; image: the picture on this disk; file: its name for people; strategy: who picked it, with which utility;
    predicted, confidence in [0, 1]: the model's answer; round: 1, and one more each time the same face is asked about again;
    current: the label under review.
    """

    key: str
    image: Path
    file: str
    strategy: str = ""
    utility: float = 0.0
    predicted: str | None = None
    confidence: float | None = None
    round: int = 1
    current: str | None = None


@dataclass(frozen=True)
class Told:
    """What one annotation says of one face.

    annotation: its id on the server; state: answer; skip; open (a cell of a wall that was left empty); refused (no valid
    choice: `reason` says why); value: the choice, None but for an answer; annotator: the user's id; created, updated: ISO
    8601, the epoch where there is no time; lead_time: seconds for the whole task; predicted, confidence in [0, 1],
    model_version: the pre-annotation that was shown, None without one.
    """

    annotation: int
    key: str
    state: Literal["answer", "skip", "open", "refused"]
    value: str | None
    reason: str
    annotator: int | None
    created: str
    updated: str
    lead_time: float | None
    predicted: str | None
    confidence: float | None
    model_version: str | None
    strategy: str
    round: int


# --- there ------------------------------------------------------------------------------------------------------------


def build_tasks(
    questions: Sequence[Question],
    attribute: Attribute,
    layout: Layout,
    model_version: str | None,
    picture: Callable[[Path], str],
    *,
    preannotate: bool = True,
) -> list[dict[str, Any]]:
    """Tasks as the server imports them: one a question (`single`), or one for each `CELLS` questions (`wall`).

    picture: what the page shall load for a file. A wall that is not full has blank pictures in its last cells.
    preannotate=False: what the model says travels along and is not shown, nor is what a newer one says.

    Raises:
        InputError: a prediction that is none of the attribute's values.
    """
    tasks = []
    for group in _groups(questions, CELLS if layout == "wall" else 1):
        cells = [_cell(question, attribute, model_version, preannotate) for question in group]
        if layout == "wall":
            images = [picture(question.image) for question in group]
            images += [blank_picture()] * (CELLS - len(group))
            data: dict[str, Any] = {f"img{index}": image for index, image in enumerate(images)}
            if any(question.current for question in group):
                now = [question.current or "" for question in group] + [""] * (CELLS - len(group))
                data |= {f"current{index}": text for index, text in enumerate(now)}
            data["cells"] = cells
        else:
            data = {"image": picture(group[0].image), **cells[0]}
            if group[0].current:
                data["current"] = group[0].current
        task: dict[str, Any] = {"data": data}
        prediction = build_prediction(data)
        if prediction:
            task["predictions"] = [prediction]
        tasks.append(task)
    return tasks


def build_prediction(data: Mapping[str, Any]) -> dict[str, Any] | None:
    """The pre-annotation of a task's data: the model's answers as results. score: the confidence, a wall's lowest one.

    None where the model says nothing of these faces, or shall not be shown.
    """
    result, scores, version = [], [], None
    for name, to_name, cell in _asked(data):
        if not _suggests(cell):
            continue
        value = {"choices": [cell["predicted"]]}
        result.append({"from_name": name, "to_name": to_name, "type": "choices", "value": value})
        version = version or as_text(cell.get("model_version"))
        confidence = as_share(cell.get("confidence"))
        scores += [] if confidence is None else [confidence]
    if not result:
        return None
    return {"model_version": version or "undefined", "score": min(scores, default=None), "result": result}


def asked_in(data: Any) -> list[tuple[str, int]]:
    """(key, round) of each face in a task's data; none where another program made the task."""
    return [(one.cell["key"], _round(one.cell)) for one in _asked(data) if isinstance(one.cell.get("key"), str)]


def shown_in(data: Any) -> set[str]:
    """The model versions whose answers were pushed as pre-annotations of a task."""
    return {as_text(one.cell.get("model_version")) for one in _asked(data) if _suggests(one.cell)}


def with_predictions(data: Mapping[str, Any], predicted: Mapping[str, Question], model_version: str | None) -> dict[str, Any]:
    """A task's data with other answers of a model. predicted: by key; a face that is not in it has none, and a face that was
    pushed not to show what a model says stays so."""
    cells = []
    for one in _asked(data):
        question = predicted.get(as_text(one.cell.get("key")))
        value, confidence = (None, None) if question is None else (question.predicted, as_share(question.confidence))
        cells.append({**one.cell, "predicted": value, "confidence": confidence, "model_version": model_version})
    return {"cells": cells} if "cells" in data else cells[0]


@cache
def blank_picture() -> str:
    """What stands in a cell without a face: a small crossed-out grey square, as a data URI."""
    image = Image.new("L", (48, 48), 236)
    pen = ImageDraw.Draw(image)
    pen.line((8, 8, 39, 39), 200, 2)
    pen.line((8, 39, 39, 8), 200, 2)
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True)
    return f"data:image/png;base64,{b64encode(stream.getvalue()).decode()}"


def _suggests(cell: Mapping[str, Any]) -> bool:
    """Whether the page shows what a model says of a face: something is said, and the face was not pushed to be asked blind."""
    return cell.get("predicted") is not None and bool(cell.get("shown", True))


def _groups(questions: Sequence[Question], size: int) -> Iterable[Sequence[Question]]:
    return (questions[start : start + size] for start in range(0, len(questions), size))


def _cell(question: Question, attribute: Attribute, model_version: str | None, preannotate: bool) -> dict[str, Any]:
    if question.predicted is not None:
        attribute.code(question.predicted)
    utility, confidence = float(question.utility), as_share(question.confidence)
    return {
        "key": question.key,
        "file": question.file,
        "strategy": question.strategy,
        "utility": round(utility, 6) if math.isfinite(utility) else None,  # JSON has no NaN
        "round": int(question.round),
        "predicted": question.predicted,
        "confidence": None if confidence is None else round(confidence, 6),
        "model_version": model_version,
        "shown": preannotate,
    }


# --- and back ---------------------------------------------------------------------------------------------------------


class _Asked(NamedTuple):
    """One face of a task: the names of its choices and of its picture, and what was pushed of it."""

    name: str
    to_name: str
    cell: Mapping[str, Any]


def read_task(task: Any, attribute: Attribute) -> list[Told]:
    """What each annotation of an exported task says of each of its faces.

    Never raises: what people entered by hand, or other programs did, that is no valid choice is told as `refused`. An
    annotation without an id is none.
    """
    task = task if isinstance(task, Mapping) else {}
    asked = _asked(task.get("data")) or [_Asked(*names("single"), {})]
    allowed = possible_choices(attribute)
    told = []
    for annotation in as_list(task.get("annotations")):
        if isinstance(annotation, Mapping) and as_integer(annotation.get("id")) is not None:
            told += [_tell(one, annotation, allowed) for one in asked]
    return told


def _tell(one: _Asked, annotation: Mapping[str, Any], allowed: Sequence[str]) -> Told:
    key = as_text(one.cell.get("key"))
    state, value, reason = _judge(one, annotation, allowed)
    if not key:
        state, value, reason = "refused", None, "the task does not say which face it shows"
    by = annotation.get("completed_by")
    seconds = as_number(annotation.get("lead_time"))
    predicted, confidence, version = _prediction(one, annotation)
    return Told(
        annotation=int(annotation["id"]),
        key=key,
        state=state,
        value=value,
        reason=reason,
        annotator=as_integer(by.get("id") if isinstance(by, Mapping) else by),
        created=as_time(annotation.get("created_at")),
        updated=as_time(annotation.get("updated_at")),
        lead_time=None if seconds is None or seconds < 0 else seconds,
        predicted=predicted,
        confidence=confidence,
        model_version=version,
        strategy=as_text(one.cell.get("strategy")),
        round=_round(one.cell),
    )


_Verdict = tuple[Literal["answer", "skip", "open", "refused"], str | None, str]


def _judge(one: _Asked, annotation: Mapping[str, Any], allowed: Sequence[str]) -> _Verdict:
    """State, value and reason of one face in one annotation."""
    if annotation.get("was_cancelled"):
        return "skip", None, ""
    result = annotation.get("result")
    if not isinstance(result, list):
        return "refused", None, "the annotation has no list of results"
    regions = [region for region in result if isinstance(region, Mapping)]
    mine = [region for region in regions if region.get("from_name") == one.name]
    choices = [choice for region in mine for choice in _choices(region)]
    if not choices:
        stray = sorted({str(region.get("from_name"))[:50] for region in regions if _is_stray(region)})
        if stray or len(regions) < len(result):
            return "refused", None, f"expected a choice of {one.name}, found one of {', '.join(stray) or 'no name'}"
        return ("refused", None, "no choice") if one.name == names("single")[0] else ("open", None, "")
    if len(choices) > 1:
        return "refused", None, f"expected one choice, found {len(choices)}: {', '.join(map(str, choices))[:200]}"
    if mine[0].get("to_name") != one.to_name or mine[0].get("type") != "choices":
        return "refused", None, f"expected choices of {one.to_name}, found {mine[0].get('type')} of {mine[0].get('to_name')}"
    if choices[0] not in allowed:
        return "refused", None, f"expected {', '.join(allowed)}; found {str(choices[0])[:200]!r}"
    return "answer", str(choices[0]), ""


def _is_stray(region: Mapping[str, Any]) -> bool:
    """Whether a choice names no face of ours; other tags, such as a field for remarks, may be added to an interface."""
    name = region.get("from_name")
    return region.get("type") == "choices" and not (isinstance(name, str) and re.fullmatch(r"label\d*", name))


def _choices(region: Mapping[str, Any]) -> list[Any]:
    value = region.get("value")
    chosen = value.get("choices") if isinstance(value, Mapping) else None
    return chosen if isinstance(chosen, list) else [None]


def _prediction(one: _Asked, annotation: Mapping[str, Any]) -> tuple[str | None, float | None, str | None]:
    """Value, confidence and model version of what was shown.

    The server notes that beside an annotation, as far as the annotation was not imported; it may be newer than the task's data.
    """
    there = annotation.get("prediction")
    pushed = as_text(one.cell.get("model_version")) or None
    confidence = as_share(one.cell.get("confidence"))
    if not isinstance(there, Mapping):
        value = as_text(one.cell.get("predicted")) if _suggests(one.cell) else ""
        return (value, confidence, pushed) if value else (None, None, None)
    regions = [region for region in as_list(there.get("result")) if isinstance(region, Mapping)]
    shown = [choice for region in regions if region.get("from_name") == one.name for choice in _choices(region)]
    if len(shown) != 1 or not isinstance(shown[0], str):
        return None, None, None
    version = as_text(there.get("model_version")) or None
    if version != pushed:  # its score is the confidence of a single face, and that of one of a wall's
        confidence = as_share(there.get("score")) if one.name == names("single")[0] else None
    return shown[0], confidence, version


def _asked(data: Any) -> list[_Asked]:
    if not isinstance(data, Mapping):
        return []
    if "cells" not in data:
        return [_Asked(*names("single"), data)]
    return [
        _Asked(*names("wall", index), cell if isinstance(cell, Mapping) else {})
        for index, cell in enumerate(as_list(data["cells"]))
    ]


def _round(cell: Mapping[str, Any]) -> int:
    return max(as_integer(cell.get("round")) or 1, 1)
