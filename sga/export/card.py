"""card.md: what a model folder is, in words and measured numbers, made from its model.json."""

from __future__ import annotations

from datetime import datetime
from typing import Any

__all__ = ["model_card"]


def model_card(spec: dict[str, Any], data: str, notes: str) -> str:
    """Markdown. spec: the content of model.json; data: the faces and their terms; notes: known failures."""
    stages = spec["training"].get("stages", {})
    lines = [
        f"# {spec['name']}",
        "",
        f"Anime faces at {spec['size']}×{spec['size']} px by gender and {_condition(spec)}, with their judge.",
        "",
    ]
    if data:
        lines += ["## Data and licence", "", data.strip(), ""]
    lines += ["## Training", ""]
    lines += _faces(spec)
    lines += [f"- {name}: finished {stage['finished']}{_since(stage)}{_work(name, stage)}." for name, stage in stages.items()]
    lines += ["", "## Measured", ""]
    gender = _gender(spec)
    lines += _classification(spec["metrics"], gender)
    lines += _quality(spec, gender)
    lines += _upscaler(spec["metrics"])
    if notes:
        lines += ["## Known failures and remarks", "", notes.strip(), ""]
    return "\n".join(lines).rstrip() + "\n"


def _condition(spec: dict[str, Any]) -> str:
    return "tags" if spec.get("style_source") == "tags" else "style"


def _gender(spec: dict[str, Any]) -> str:
    return str(next(one["name"] for one in spec["schema"]["attributes"] if one["role"] == "gender"))


def _faces(spec: dict[str, Any]) -> list[str]:
    """The labels of all faces by source, and the genders among them and among those that the generator learnt from."""
    gender, training = _gender(spec), spec["training"]
    parts = []
    for name, found in training["labels"].items():
        counts = ", ".join(f"{count:,} {source}" for source, count in found["sources"].items() if count)
        parts.append(f"{name} {counts}" + (f" ({_by_value(found)})" if name == gender else ""))
    met = training["generator"]
    return [
        f"- {training['faces']:,} faces. Labels: {'; '.join(parts)}.",
        f"- Adversarial training saw {met['faces']:,} of them: {_by_value(met['labels'][gender])}.",
    ]


def _by_value(found: dict[str, Any]) -> str:
    """Such as "900 female, 40 of them completed"."""
    parts = []
    for value, labelled in found["labelled"].items():
        completed = found["values"][value] - labelled
        parts.append(f"{labelled + completed:,} {value}" + (f", {completed:,} of them completed" if completed else ""))
    unknown = found["values"]["unknown"]
    return "; ".join([*parts, f"{unknown:,} unknown"] if unknown else parts)


def _work(name: str, stage: dict[str, Any]) -> str:
    """What was trained, on how many images each, in how many minutes where the run noted them."""
    settings, hours = stage.get("settings", {}), stage.get("hours", {})
    fit = settings.get("fit")  # of ingest, that is how a picture is cropped
    each = fit["images"] if isinstance(fit, dict) else None
    warm = (settings.get("warm_start") or {}).get("images")
    parts = []
    if each:
        networks = {
            "ensemble": len(settings.get("members", ())) * settings.get("folds", 1),
            "quality": settings.get("folds", 0) + 1,
        }
        count = networks.get(name, 1)
        parts.append(f"{count} networks, {each:,} images each" if count > 1 else f"{each:,} images")
    if warm:
        parts.append(f"{warm:,} images as a decoder{_minutes(hours.get('decoder'))}")
    if stage.get("images"):
        parts.append(f"{stage['images']:,} images as a GAN{_minutes(hours.get('adversarial'))}")
    return f": {', then '.join(parts)}" if parts else ""


def _minutes(hours: float | None) -> str:
    return "" if hours is None else f" in {_duration(60 * hours)}"


def _since(stage: dict[str, Any]) -> str:
    """How long the stage took, from where it was begun last: a stage that was stopped goes on in another call."""
    if "started" not in stage or stage.get("hours"):  # hours of work are known: no need of those in between
        return ""
    started, finished = (datetime.fromisoformat(stage[key]) for key in ("started", "finished"))
    return f", {_duration((finished - started).total_seconds() / 60)} after it was last begun"


def _duration(minutes: float) -> str:
    if minutes < 1:
        return "less than a minute"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


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
    unseen = "on labels that neither the judging network nor the thresholds saw"
    lines = [f"Quality, {unseen} (`sga quality tune`, by folds; {labels}):", ""]
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
    small = spec["metrics"].get("small_judge")
    if small:
        lines.append(
            f"- The small judge, which a page downloads, decides as the judge does in {100 * small['agreement']:.1f} % of "
            f"{small['samples']} attempts that it did not learn from (correlation of the qualities {small['quality']:.2f})."
        )
    return [*lines, ""]


def _upscaler(metrics: dict[str, Any]) -> list[str]:
    """What enlarging gains, at each scale, for faces made small by the bicubic filter and by realistic ways."""
    measured = metrics.get("upscaler")
    if not measured:
        return []
    lines = ["Upscaler, on faces that it was not trained on (`sga upscale measure`; PSNR of RGB, 95 % bootstrap):", ""]
    for row in measured["rows"]:
        gain = row["gains"]["bicubic"]["psnr"]
        lines.append(
            f"- {row['scale']}x, made small in a {row['degradation']} way: {row['means']['ours']['psnr']:.2f} dB, "
            f"{gain['value']:+.2f} [{gain['low']:+.2f}, {gain['high']:+.2f}] over bicubic (n = {row['n']})."
        )
    return [*lines, ""]
