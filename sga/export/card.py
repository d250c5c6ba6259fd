"""card.md: what a model folder is, in words and measured numbers, made from its model.json."""

from __future__ import annotations

from typing import Any

__all__ = ["model_card"]


def model_card(spec: dict[str, Any], data: str, notes: str) -> str:
    """Markdown. spec: the content of model.json; data: the faces and their terms; notes: known failures."""
    stages = spec["training"].get("stages", {})
    lines = [
        f"# {spec['name']}",
        "",
        f"Anime faces at {spec['size']}×{spec['size']} px by gender and style, with their judge.",
        "",
    ]
    if data:
        lines += ["## Data and licence", "", data.strip(), ""]
    lines += ["## Training", ""]
    lines += [f"- {spec['training']['faces']} faces. Labels: {_labels(spec)}."]
    for name, stage in stages.items():
        lines.append(f"- {name}: finished {stage['finished']}{_length(stage)}.")
    lines += ["", "## Measured", ""]
    gender = next(one["name"] for one in spec["schema"]["attributes"] if one["role"] == "gender")
    lines += _classification(spec["metrics"], gender)
    lines += _quality(spec, gender)
    if notes:
        lines += ["## Known failures and remarks", "", notes.strip(), ""]
    return "\n".join(lines).rstrip() + "\n"


def _labels(spec: dict[str, Any]) -> str:
    parts = []
    for name, histogram in spec["training"]["labels"].items():
        sources = histogram["sources"]
        parts.append(f"{name} " + ", ".join(f"{count} {source}" for source, count in sources.items() if count))
    return "; ".join(parts)


def _length(stage: dict[str, Any]) -> str:
    settings = stage.get("settings", {})
    fit = settings.get("fit")  # of ingest, that is how a picture is cropped
    images = stage.get("images") or (fit.get("images") if isinstance(fit, dict) else None)
    warm = (settings.get("warm_start") or {}).get("images")
    parts = [f"{warm} images as a decoder" if warm else "", f"{images} images" if images else ""]
    text = ", then ".join(part for part in parts if part)
    return f", {text}" if text else ""


def _classification(metrics: dict[str, Any], gender: str) -> list[str]:
    table = metrics.get("classification")
    if not table or not table["cells"]:
        return []
    lines = [f"{table['title']} (`sga complete`, `sga sfn`):", ""]
    for attribute, rows in table["cells"].items():
        metric = "balanced" if attribute == gender else "accuracy"
        scores = ", ".join(f"{row} {_percent(cells[metric])}" for row, cells in rows.items())
        n = next(iter(rows.values()))["accuracy"]["n"]
        lines.append(f"- {attribute}, {'balanced accuracy' if metric == 'balanced' else 'accuracy'} (n = {n}): {scores}.")
    return [*lines, *(f"- {note}" for note in table["notes"]), ""]


def _percent(cell: dict[str, float]) -> str:
    return f"{100 * cell['value']:.1f} [{100 * cell['low']:.1f}, {100 * cell['high']:.1f}]"


def _quality(spec: dict[str, Any], gender: str) -> list[str]:
    quality = spec["metrics"].get("quality")
    if not quality:
        return []
    labels = ", ".join(f"{count} {level}" for level, count in quality["labels"].items())
    lines = [f"Quality, on labels that the judging network never saw (`sga quality tune`; {labels}):", ""]
    for name, rate in quality["rates"].items():
        if "share" in rate:
            lines.append(f"- {100 * rate['share']:.0f} % of the labelled faces pass.")
        else:
            lines.append(
                f"- {name}: precision {rate['precision']:.2f}, recall {rate['recall']:.2f} at {rate['threshold']:.3f}."
            )
    table = spec["metrics"].get("judge_before_and_after", {"cells": {}})
    for attribute, rows in table["cells"].items():
        metric = "balanced" if attribute == gender else "accuracy"
        lines.append(
            f"- {attribute} before the finetuning {_percent(rows['before'][metric])}, after {_percent(rows['after'][metric])}."
        )
    if quality.get("style_correlation") is not None:
        lines.append(f"- Mean correlation of the style's entries before and after: {quality['style_correlation']:.2f}.")
    critic = spec["metrics"].get("critic")
    if critic:
        lines.append(
            f"- The judge accepts {100 * critic['accepted']:.0f} % of the faces that IDs get, "
            f"{100 * critic['accepted_random']:.0f} % of first attempts "
            f"(rank correlation of the latent critic with the judge {critic['correlation']:.2f})."
        )
    return [*lines, ""]
