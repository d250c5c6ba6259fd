"""How many labels each strategy needs to reach the same balanced accuracy, with intervals over the seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

__all__ = ["Curve", "Interval", "Target", "efficiency", "efficiency_markdown", "read_curves", "strategies_markdown"]

SHARES = (0.9, 0.95, 1.0)
"""Targets, as parts of the reference's last balanced accuracy."""

_DRAWS = 2000


@dataclass(frozen=True)
class Interval:
    """A value and its 95 % interval, NaN where one seed cannot tell."""

    value: float
    low: float
    high: float

    def show(self, scale: float = 1.0, digits: int = 2) -> str:
        """`0.52 [0.41, 0.66]`."""
        return (
            f"{_number(self.value * scale, digits)} [{_number(self.low * scale, digits)}, {_number(self.high * scale, digits)}]"
        )


def _number(value: float, digits: int) -> str:
    if np.isnan(value):
        return "?"
    return f"{value:.{digits}f}" if np.isfinite(value) else "∞"


@dataclass(frozen=True)
class Curve:
    """One strategy. labels: (g,) int64, ascending; scores: (seeds, g) float64 balanced accuracy in [0, 1]; rare: (seeds, g)
    labels of the rarest value."""

    strategy: str
    labels: np.ndarray
    scores: np.ndarray
    rare: np.ndarray

    def band(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(g,) mean over the seeds, and the ends of its 95 % t interval; one seed has none, NaN."""
        return _t_interval(self.scores)


@dataclass(frozen=True)
class Target:
    """A balanced accuracy, as a part of the reference's last one; labels[strategy] that reach it, infinite where none do, and
    ratio[strategy] to the reference's."""

    share: float
    accuracy: float
    labels: dict[str, float]
    ratio: dict[str, Interval]


def read_curves(frame: pd.DataFrame) -> dict[str, Curve]:
    """By strategy, in the order of the first rows. Rounds that not every seed and strategy has are left out, which there are
    where the pools of the seeds have different sizes."""
    scores = frame.pivot(index=["strategy", "seed"], columns="labels", values="balanced_accuracy").dropna(axis=1)
    rare = frame.pivot(index=["strategy", "seed"], columns="labels", values="rare_found")[scores.columns]
    labels = scores.columns.to_numpy(dtype=np.int64)
    return {
        str(name): Curve(str(name), labels, scores.loc[name].to_numpy(), rare.loc[name].to_numpy())
        for name in frame["strategy"].unique()
    }


def efficiency(curves: dict[str, Curve], reference: str, shares: tuple[float, ...] = SHARES, seed: int = 0) -> list[Target]:
    """Labels to reach parts of the last balanced accuracy of `reference`; intervals by bootstrap over the seeds.

    The mean over the seeds is made monotone first (isotonic regression): the first round in which a noisy curve happens to
    touch the target would come too early, and the earlier the noisier it is.
    """
    whole = {name: _monotone(curve.scores) for name, curve in curves.items()}
    labels, seeds = curves[reference].labels, len(curves[reference].scores)
    targets = [share * whole[reference][-1] for share in shares]
    found = [{name: _reach(labels, curve, target) for name, curve in whole.items()} for target in targets]
    rng = np.random.default_rng(seed)
    ratios = np.empty((_DRAWS, len(shares), len(curves)))
    for draw in range(_DRAWS):
        rows = rng.integers(seeds, size=seeds)  # a seed's start and pool are common to all strategies, so it is drawn as one
        drawn = {name: _monotone(curve.scores[rows]) for name, curve in curves.items()}
        for place, share in enumerate(shares):
            target = share * drawn[reference][-1]
            need = [_reach(labels, curve, target) for curve in drawn.values()]
            ratios[draw, place] = np.asarray(need) / _reach(labels, drawn[reference], target)
    low, high = np.full((2, len(shares), len(curves)), np.nan)
    if seeds > 1:  # without interpolation: where some draws are infinite there is no mean of two
        low, high = np.quantile(ratios, [0.025, 0.975], axis=0, method="inverted_cdf")
    return [
        Target(
            share,
            target,
            need,
            {name: Interval(need[name] / need[reference], low[i, j], high[i, j]) for j, name in enumerate(curves)},
        )
        for i, (share, target, need) in enumerate(zip(shares, targets, found, strict=True))
    ]


def efficiency_markdown(targets: list[Target], reference: str) -> str:
    """A row a target: labels by strategy, and their ratio to the reference's with its interval."""
    names = list(targets[0].labels)
    others = [name for name in names if name != reference]
    head = ["balanced accuracy", *(f"{name}, labels" for name in names), *(f"{name} / {reference}" for name in others)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for target in targets:
        cells = [f"{100 * target.accuracy:.1f} % ({100 * target.share:.0f} % of {reference}’s last)"]
        cells += [_number(target.labels[name], 0) if np.isfinite(target.labels[name]) else "not reached" for name in names]
        lines.append("| " + " | ".join([*cells, *(target.ratio[name].show() for name in others)]) + " |")
    return "\n".join(lines)


def strategies_markdown(curves: dict[str, Curve], reference: str, rare: str) -> str:
    """A row a strategy: balanced accuracy on average over all rounds and its gain on the reference, in the last round, and
    labels of the rarest value found by then."""
    base, last = curves[reference].scores.mean(axis=1), curves[reference].labels[-1]
    head = ["strategy", "mean over all rounds, %", f"− {reference}, points", f"at {last} labels, %", f"of them {rare}"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, curve in curves.items():
        mean = curve.scores.mean(axis=1)
        cells = [_interval(mean), _interval(mean - base), _interval(curve.scores[:, -1])]
        shown = [cell.show(100, 1) for cell in cells]
        shown[1] = "" if name == reference else shown[1]
        lines.append("| " + " | ".join([name, *shown, f"{curve.rare[:, -1].mean():.0f}"]) + " |")
    return "\n".join(lines)


def _interval(values: np.ndarray) -> Interval:
    """Of (seeds,) values."""
    mean, low, high = _t_interval(values)
    return Interval(float(mean), float(low), float(high))


def _t_interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(seeds, …) → (…): mean and the ends of its 95 % interval."""
    from scipy.stats import t

    n = len(values)
    mean = values.mean(axis=0)
    half = t.ppf(0.975, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.full_like(mean, np.nan)
    return mean, mean - half, mean + half


def _monotone(scores: np.ndarray) -> np.ndarray:
    """(seeds, g) → (g,): the nearest curve to the mean that never falls."""
    from sklearn.isotonic import isotonic_regression

    curve: np.ndarray = isotonic_regression(scores.mean(axis=0))
    return curve


def _reach(labels: np.ndarray, curve: np.ndarray, target: float) -> float:
    """Labels at which a monotone curve reaches a target, between two rounds by a straight line; infinite where never."""
    reached = np.flatnonzero(curve >= target - 1e-9)
    if not len(reached):
        return float("inf")
    right = int(reached[0])
    if right == 0:
        return float(labels[0])
    return float(np.interp(target, curve[right - 1 : right + 1], labels[right - 1 : right + 1]))
