"""What a ladder found: as JSON, and as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sga.evaluation.report import TableBlock
from sga.ladder.settings import LadderSettings

__all__ = ["Measured", "markdown", "summary"]

_OVERALL = "overall"
_DISTANCES = ("fid", "kid", "precision", "recall", "coverage")


@dataclass(frozen=True)
class Measured:
    """A snapshot. spent: images, seconds and cpu_seconds of its training; evaluation: its report as JSON, None = not yet."""

    rung: str
    seed: int
    point: int
    spent: dict[str, float]
    evaluation: dict[str, Any] | None


def summary(found: Sequence[Measured], settings: LadderSettings) -> dict[str, Any]:
    """The report. Of each rung its curve (every snapshot) and its result, the last point of each seed; ratios to the first rung
    are of the means over seeds."""
    first = next((one.evaluation for one in found if one.evaluation), None)
    length = {"measure": settings.measure, "amount": settings.amount, "points": settings.points, "seeds": settings.seeds}
    report: dict[str, Any] = {"length": length, "overrides": settings.overrides, "warm_start_from": settings.warm_start_from}
    if first is not None:
        facts = first["facts"]
        report |= {name: facts[name] for name in ("features", "split", "count")}
        floor = {group: one and {"fid": one["fid"], "n": one["n"]} for group, one in first["floor"].items()}
        report |= {"floor": floor, "groups": list(first["floor"])}
    report["rungs"] = []
    for name in settings.rungs:
        snapshots = [one for one in found if one.rung == name]
        last = [one for one in snapshots if one.point == settings.points]
        report["rungs"].append({"name": name, "curve": [_point(one) for one in snapshots], "result": _result(last)})
    base = report["rungs"][0]["result"]
    for rung in report["rungs"]:
        rung["to_base"] = _ratios(rung["result"], base)
    return report


def _point(one: Measured) -> dict[str, Any]:
    return {"seed": one.seed, "point": one.point, **one.spent, **_figures(one)}


def _figures(one: Measured) -> dict[str, Any]:
    """By measure and group, None where there are too few faces; nothing where it is not evaluated yet."""
    if one.evaluation is None:
        return {}
    source = one.evaluation["unselected"]
    figures: dict[str, Any] = {name: {} for name in _DISTANCES}
    for group, likeness in source["groups"].items():
        for name in _DISTANCES:
            value = None if likeness is None else likeness[name]
            figures[name][group] = value["value"] if isinstance(value, dict) else value
    figures["spectrum"] = {_OVERALL: max((one["locked"] for one in source.get("spectrum", {}).values()), default=None)}
    figures["gender"] = {group: rate["value"] for group, rate in source["gender"].items()}
    return figures


def _result(last: Sequence[Measured]) -> dict[str, Any]:
    """Mean, least and largest over the seeds."""
    result: dict[str, Any] = {}
    for key in ("images", "seconds", "cpu_seconds"):
        result[key] = _spread([one.spent[key] for one in last])
    for key, time in (("images_per_second", "seconds"), ("images_per_cpu_second", "cpu_seconds")):
        result[key] = _spread([one.spent["images"] / one.spent[time] for one in last if one.spent[time] > 0])
    figures = [told for one in last if (told := _figures(one))]
    for name in (*_DISTANCES, "spectrum", "gender"):
        groups = figures[0][name] if figures else {}
        result[name] = {group: _spread([told[name].get(group) for told in figures]) for group in groups}
    return result


def _spread(values: Sequence[float | None]) -> dict[str, float] | None:
    known = [float(value) for value in values if value is not None]
    if not known:
        return None
    return {"mean": float(np.mean(known)), "low": min(known), "high": max(known), "seeds": len(known)}


def _ratios(result: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    def ratio(one: dict[str, float] | None, other: dict[str, float] | None) -> float | None:
        return one["mean"] / other["mean"] if one and other and other["mean"] > 0 else None

    told: dict[str, Any] = {
        name: {group: ratio(one, base[name].get(group)) for group, one in result[name].items()} for name in ("fid", "kid")
    }
    return told | {name: ratio(result[name], base[name]) for name in ("images", "images_per_second", "images_per_cpu_second")}


def markdown(report: dict[str, Any]) -> str:
    """The report as Markdown: a row a rung."""
    block = table(report)
    lines = [f"# {block.title}", "", "| " + " | ".join(block.header) + " |", "|" + "---|" * len(block.header)]
    lines += ["| " + " | ".join(row) + " |" for row in block.rows]
    return "\n".join([*lines, *(f"\n{note}" for note in block.notes), ""])


def table(report: dict[str, Any]) -> TableBlock:
    """A row a rung, in the order of the ladder."""
    length, groups = report["length"], report.get("groups", [_OVERALL])
    cpu = length["measure"] == "cpu_seconds"
    speed = "images_per_cpu_second" if cpu else "images_per_second"
    header = ["rung", "images", "images/CPU s" if cpu else "images/s", "of base"]
    header += [f"FID {group}" for group in groups] + [f"{group} of base" for group in groups]
    header += ["KID × 1000", "precision", "recall", "locked, dB", "gender %"]
    rows = []
    for rung in report["rungs"]:
        result, to_base = rung["result"], rung["to_base"]
        row = [rung["name"], _told(result["images"], "{:,.0f}"), _told(result[speed], "{:.1f}"), _ratio(to_base[speed])]
        row += [_told(result["fid"].get(group), "{:.2f}") for group in groups]
        row += [_ratio(to_base["fid"].get(group)) for group in groups]
        row += [_told(result["kid"].get(_OVERALL), "{:.2f}", 1000)]
        row += [_told(result[name].get(_OVERALL), "{:.3f}") for name in ("precision", "recall")]
        row.append(_told(result["spectrum"].get(_OVERALL), "{:.1f}"))
        rows.append([*row, _told(result["gender"].get(_OVERALL), "{:.1f}", 100)])
    return TableBlock(_title(length), header, rows, tuple(_notes(report)))


def _title(length: dict[str, Any]) -> str:
    units = {"seconds": "minutes of training", "cpu_seconds": "minutes of CPU time in training", "images": "images"}
    amount = length["amount"] if length["measure"] == "images" else length["amount"] / 60
    seeds = "" if length["seeds"] == 1 else f", {length['seeds']} seeds"
    return f"Recipes after {amount:,g} {units[length['measure']]}{seeds}"


def _notes(report: dict[str, Any]) -> list[str]:
    if "features" not in report:
        return ["Nothing is evaluated yet."]
    floor = ", ".join(f"{group} {one['fid']:.2f} (n = {one['n']})" for group, one in report["floor"].items() if one)
    features = report["features"]
    return [
        f"Unselected faces, {report['count']:,} of each gender, against real ones of the split {report['split']}; features: "
        f"{features['name']} ({features['width']} numbers). FID of real against real faces: {floor}. `of base` is the ratio to "
        "the first rung. Locked: how far a frequency of the mean face exceeds its like in real faces; twelve and more are a "
        "grid of dots. Over seeds: mean (least to largest). Images are those of the adversarial training; the time is that of "
        "all training, a warm start of the rung's own included."
    ]


def _told(spread: dict[str, float] | None, form: str, factor: float = 1) -> str:
    if spread is None:
        return "–"
    mean, low, high = (form.format(factor * spread[key]) for key in ("mean", "low", "high"))
    return mean if low == high else f"{mean} ({low} to {high})"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
