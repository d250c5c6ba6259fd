"""Which faces are compared with which, and the comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from configs.errors import InputError
from sga.evaluation.crowd import Crowd
from sga.evaluation.frechet import Moments, frechet_distance
from sga.evaluation.kernel import kernel_distance
from sga.evaluation.neighbours import manifold_measures
from sga.evaluation.reality import OVERALL, Group
from sga.evaluation.report import Likeness
from sga.evaluation.settings import EvaluationSettings

__all__ = ["Plan", "compare", "floor"]

_OFF = 0.05
"""How far a gender's share may be from that among the real faces."""


@dataclass(frozen=True)
class Plan:
    """How many generated faces each comparison takes, all of them the first of their gender.

    faces[group][gender]: of the comparison with all real faces of the group; floor[group][gender]: of that at the floor's n.
    """

    faces: dict[str, dict[str, int]]
    floor: dict[str, dict[str, int]]

    @classmethod
    def of(cls, real: Mapping[str, int], settings: EvaluationSettings) -> Plan:
        """real: faces of each group, as `group_rows` names them. Overall the genders are as frequent as among the real faces,
        with as many faces as that leaves of `count` each.

        Raises:
            InputError: a KID subset larger than a group.
        """
        genders = [name for name in real if name != OVERALL]
        known = sum(real[value] for value in genders)
        shares = np.asarray([real[value] / max(1, known) for value in genders])
        whole = int(settings.count / shares.max()) if known else 0
        faces = {OVERALL: _shared(whole, shares, genders)} | {value: {value: settings.count} for value in genders}
        halves = {name: min(sum(faces[name].values()), real[name] // 2) for name in faces}
        at_floor = {OVERALL: _shared(halves[OVERALL], shares, genders)} | {value: {value: halves[value]} for value in genders}
        if settings.kid_subset is not None:
            for name, parts in faces.items():
                _check_subset(settings.kid_subset, name, sum(parts.values()), real[name])
        return cls(faces, at_floor)

    def n(self, group: str) -> int:
        """Generated faces of a group."""
        return sum(self.faces[group].values())

    def cuts(self, gender: str) -> list[int]:
        """All prefixes of a gender's faces that are compared."""
        return [parts[gender] for plan in (self.faces, self.floor) for parts in plan.values() if gender in parts]


def _shared(whole: int, shares: np.ndarray, genders: Sequence[str]) -> dict[str, int]:
    """`whole` faces by gender, in these shares up to rounding."""
    ends = np.round(np.cumsum(shares) * whole).astype(int)
    return dict(zip(genders, np.diff(ends, prepend=0).tolist(), strict=True))


def _check_subset(size: int, group: str, n: int, n_real: int) -> None:
    if n_real >= 2 and size > min(n, n_real):
        raise InputError(
            f"Expected a KID subset of at most {min(n, n_real)} faces, the fewer of {n} generated and {n_real} real faces of "
            f"the group {group}, found {size}. Type: --set kid_subset={min(n, n_real)}, or null for half of each group"
        )


def floor(group: Group, n: int, settings: EvaluationSettings) -> Likeness | None:
    """Real against real faces: two disjoint sets of n, or of half of the faces where these are fewer; None below two a side."""
    one, other = group.halves(n)
    return None if len(one) < 2 else _likeness(Moments.of(one), one, Group(other), settings)


def compare(name: str, crowds: Mapping[str, Crowd], group: Group, plan: Plan, settings: EvaluationSettings) -> Likeness | None:
    """Generated against all real faces of a group; None where there are fewer than two on a side, or where so many faces never
    passed the judge that the genders are not as frequent as planned."""
    parts = plan.faces[name]
    moments = _merged(crowds, parts)
    if moments.n < 2 or group.n < 2 or not _as_planned(crowds, parts):
        return None
    features = np.concatenate([crowds[value].features[:count] for value, count in parts.items()])
    if len(parts) > 1:  # whatever part of them is taken has the genders of the group
        features = features[np.random.Generator(np.random.PCG64(settings.seed)).permutation(len(features))]
    half, _ = group.halves(sum(plan.floor[name].values()))
    few = _merged(crowds, plan.floor[name])
    at_floor = frechet_distance(few, Moments.of(half)) if few.n == len(half) >= 2 else None
    return _likeness(moments, features, group, settings, at_floor, None if at_floor is None else few.n)


def _as_planned(crowds: Mapping[str, Crowd], parts: Mapping[str, int]) -> bool:
    found = {value: min(count, crowds[value].n) for value, count in parts.items()}
    total, whole = sum(found.values()), sum(parts.values())
    return all(abs(found[value] / total - count / whole) <= _OFF for value, count in parts.items())


def _merged(crowds: Mapping[str, Crowd], parts: Mapping[str, int]) -> Moments:
    return Moments.merged([crowds[value].moments.upto(count) for value, count in parts.items()])


def _likeness(
    moments: Moments,
    features: np.ndarray,
    group: Group,
    settings: EvaluationSettings,
    at_floor: float | None = None,
    floor_n: int | None = None,
) -> Likeness:
    real = group.features[: settings.keep]
    features = features[: settings.keep]
    least = min(len(features), len(real))
    subset = max(2, min(500, least // 2)) if settings.kid_subset is None else min(settings.kid_subset, least)
    kid = kernel_distance(features, real, subset, settings.kid_subsets, settings.seed)
    ks = (settings.precision_neighbours, settings.coverage_neighbours)
    found = manifold_measures(real[:least], features[:least], *ks)
    return Likeness(
        moments.n,
        group.n,
        frechet_distance(moments, group.moments),
        kid,
        subset,
        found.precision,
        found.recall,
        found.density,
        found.coverage,
        found.n,
        at_floor,
        floor_n,
    )
