"""Does a face show what was asked for, and what does noise change where all else is fixed?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from classifiers.metrics import Estimate
from labeling.schema import Attribute
from sga.evaluation.crowd import Eyes
from sga.evaluation.neighbours import mean_distance
from sga.evaluation.pictures import Album, Row
from sga.evaluation.rates import rate
from sga.evaluation.reality import Reality
from sga.evaluation.referee import Referee, Skill
from sga.evaluation.report import Diversity, ValueReport
from sga.evaluation.sampler import AcceptedFaces, GeneratorFaces
from sga.evaluation.settings import EvaluationSettings

__all__ = ["diversity", "value_reports"]

_SHOWN = 12
_REAL = 1000
"""Real faces of a gender whose distances measure diversity."""


def value_reports(
    source: GeneratorFaces,
    accepted: AcceptedFaces | None,
    referee: Referee,
    settings: EvaluationSettings,
    album: Album,
    on_value: Callable[[int], object],
) -> list[ValueReport]:
    """Table 2 of Jin et al.: every value of every style attribute that the referee knows; of an independent one, "yes"."""
    if settings.table_faces == 0 or source.settings.style_size == 0:
        return []
    reports = []
    for attribute in source.schema.with_role("style"):
        if attribute.name not in referee.known:
            continue
        for code in range(attribute.size) if attribute.kind == "exclusive" else [1]:
            drawn = source.with_value(attribute, code, settings.table_faces)
            if drawn is not None:
                images, genders = drawn
                chosen = None
                if accepted is not None and settings.table_accepted:
                    chosen = accepted.with_value(attribute, code, genders.tolist())
                reports.append(_value_report(referee, attribute, code, images, chosen, album))
            on_value(1)
    return reports


def _value_report(
    referee: Referee, attribute: Attribute, code: int, images: np.ndarray, chosen: np.ndarray | None, album: Album
) -> ValueReport:
    value = attribute.values[code]
    label = f"{attribute.name} {value}" if attribute.kind == "exclusive" else attribute.name
    for name, faces in (("unselected", images), ("accepted", chosen)):
        if faces is not None:
            album.sheets.setdefault(f"attributes-{name}", []).append(Row(label, list(faces[:_SHOWN])))
    skill = referee.skills.get(attribute.name, {}).get(value, Skill(rate(0, 0), rate(0, 0)))
    seen = None if chosen is None else _seen(referee, attribute, code, chosen)
    return ValueReport(attribute.name, value, _seen(referee, attribute, code, images), seen, skill.recall, skill.precision)


def _seen(referee: Referee, attribute: Attribute, code: int, images: np.ndarray) -> Estimate:
    if not len(images):
        return rate(0, 0)
    return rate(int((referee.decide(attribute.name, referee.logits(images)) == code).sum()), len(images))


def diversity(
    source: GeneratorFaces,
    eyes: Eyes,
    reality: Reality,
    gender: Attribute,
    settings: EvaluationSettings,
    on_condition: Callable[[int], object],
) -> dict[str, Diversity]:
    """By gender; none of a gender with fewer than two real faces."""
    found: dict[str, Diversity] = {}
    for code, value in enumerate(gender.values):
        group = reality.groups[value]
        if settings.diversity_conditions == 0 or group.n < 2:
            continue
        real = mean_distance(group.features[:_REAL])
        first, within = [], []
        for condition in range(settings.diversity_conditions):
            features = eyes.extractor.features(source.varied(code, condition, settings.diversity_draws))
            first.append(features[0])
            within.append(mean_distance(features) / real)
            on_condition(1)
        mean = float(np.mean(within))
        reach = 1.96 * float(np.std(within, ddof=1)) / np.sqrt(len(within)) if len(within) > 1 else float("nan")
        overall = mean_distance(np.stack(first)) / real if len(first) > 1 else float("nan")
        found[value] = Diversity(mean, mean - reach, mean + reach, overall, len(within))
    return found
