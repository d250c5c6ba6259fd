"""The tables of a report, as `sga evaluate` prints them and evaluation/report.md keeps them."""

from __future__ import annotations

import math

from classifiers.metrics import Estimate
from sga.evaluation.report import Likeness, Report, TableBlock
from sga.evaluation.spectrum import Excess

__all__ = ["report_tables"]


def report_tables(report: Report) -> list[TableBlock]:
    """Every table that the report has something for."""
    rest = (_values(report), _diversity(report), _copying(report), _spectrum(report))
    return [_likeness(report), _gender(report), *(block for block in rest if block.rows)]


def _likeness(report: Report) -> TableBlock:
    rows = []
    for group, floor in report.floor.items():
        rows.append(_likeness_row("real (floor)", group, floor))
        rows += [_likeness_row(name, group, source.groups.get(group)) for name, source in report.sources.items()]
    features = report.facts["features"]
    small = [one for source in report.sources.values() for one in source.groups.values() if one is not None]
    notes = [
        f"Features: {features['name']}, {features['width']} numbers a face; real faces of the split {report.facts['split']}. "
        "FID is biased upwards, the more the fewer the faces: compare only figures of the same n on both sides. The floor is "
        "real against real faces, two disjoint sets of its n; 'FID at floor' is that of the generated faces at the floor's n. "
        "KID × 1000 has no such bias; its interval holds the middle 95 % of subsets. Overall: genders as frequent as among the "
        "real faces. Precision, recall, density and coverage are of as many faces on both sides, the fewer of both. Figures of "
        "other features, such as published FIDs, do not compare."
    ]
    if features["name"] == "referee" and report.facts["split"] == "all":
        notes.append("The referee has learnt from labelled faces of the training split, which are among these real faces.")
    least = min((min(one.n, one.n_real) for one in small), default=0)
    if least < features["width"]:
        notes.append(f"A FID of fewer faces than features ({least} < {features['width']}) says little by itself: read its KID.")
    header = (
        "group",
        "faces",
        "n",
        "n real",
        "FID",
        "FID at floor (n)",
        "KID × 1000",
        "precision",
        "recall",
        "density",
        "coverage",
    )
    return TableBlock("Likeness to real faces", header, rows, tuple(notes))


def _likeness_row(name: str, group: str, one: Likeness | None) -> list[str]:
    if one is None:
        return [group, name, *["–"] * 9]
    at_floor = "–" if one.fid_at_floor is None else f"{one.fid_at_floor:.2f} ({one.floor_n})"
    kid = f"{1000 * one.kid.value:.2f} [{1000 * one.kid.low:.2f}, {1000 * one.kid.high:.2f}]"
    shares = [f"{value:.3f}" for value in (one.precision, one.recall, one.density, one.coverage)]
    return [group, name, str(one.n), str(one.n_real), f"{one.fid:.2f}", at_floor, kid, *shares]


def _gender(report: Report) -> TableBlock:
    rows = []
    for name, source in report.sources.items():
        for group, share in source.gender.items():
            taken = source.acceptance.get(group)
            attempts = "–" if taken is None else f"{_percent(taken.rate)} of {taken.attempts}, {taken.exhausted} never"
            rows.append([name, group, _percent(share), str(share.n), attempts])
    own = report.referee.get(report.facts["gender"], {}).get("balanced")
    notes = ["Percent with 95 % intervals. Accuracy: the referee sees the gender that was asked for."]
    if own is not None:
        notes.append(f"The referee itself is right on {_percent(own)} of real faces that it never saw (balanced, n = {own.n}).")
    if not rows:
        notes = ["The referee learnt no gender: label some faces of each."]
    return TableBlock("Gender", ("faces", "asked for", "accuracy", "n", "attempts that the judge accepted"), rows, tuple(notes))


def _values(report: Report) -> TableBlock:
    rows = []
    means = report.attribute_means()
    for attribute, mean in means.items():
        for row in (row for row in report.values if row.attribute == attribute):
            told = (row.unselected, row.accepted, row.recall, row.precision)
            rows.append([attribute, row.value, *(_percent(one) for one in told)])
        rows.append([attribute, "mean", *(_percent(mean[kind]) for kind in ("unselected", "accepted", "recall")), "–"])
    counts = sorted({one.n for row in report.values if (one := row.unselected) is not None})
    notes = (
        f"The value is asked for and all else is random ({', '.join(map(str, counts))} faces a value; Jin et al., Table 2); "
        "the figure is the share in which the referee sees it. Beside it the referee's own recall (of real faces labelled so, "
        "the share that it names so) and precision, on faces that it never saw: a perfect generator would score its recall. "
        "Percent with 95 % intervals.",
    )
    header = ("attribute", "value", "unselected", "accepted", "referee's recall", "referee's precision")
    return TableBlock("Attributes", header, rows, notes)


def _diversity(report: Report) -> TableBlock:
    rows = [
        [name, f"{one.within:.3f} [{one.low:.3f}, {one.high:.3f}]", f"{one.overall:.3f}", str(one.conditions)]
        for name, one in report.diversity.items()
    ]
    notes = (
        "Mean distance of two unselected faces over that of two real faces of the gender: of one gender and style with "
        "different noise, and of any two.",
    )
    return TableBlock("Diversity", ("gender", "within a condition", "overall", "conditions"), rows, notes)


def _copying(report: Report) -> TableBlock:
    rows = []
    for name, source in report.sources.items():
        for gender, one in source.copying.items():
            numbers = [f"{one.ratio:.3f}", _percent(one.share), str(one.share.n), f"{one.closest:.3f}", f"{one.limit:.3f}"]
            rows.append([name, gender, *numbers, str(one.held_out)])
    notes = (
        "Distance of each face, or its mirror image, to the nearest training face, beside that of real held-out faces: ratio "
        "of the medians (below 1: nearer), and percent nearer than the 1 % quantile of the held-out ones (1 % by chance). "
        "The closest pairs are in nearest-*.png.",
    )
    header = ("faces", "gender", "ratio", "nearer than 1 %", "n", "least distance", "1 % quantile", "held-out faces")
    return TableBlock("Nearest training faces", header, rows, notes)


def _spectrum(report: Report) -> TableBlock:
    floor = report.spectrum_floor
    rows = [] if floor is None else [["real (floor)", "–", *_decibels(floor)]]
    for name, source in report.sources.items():
        rows += [[name, gender, *_decibels(one)] for gender, one in source.spectrum.items()]
    notes = (
        "The frequency that exceeds its like in real faces most, in the mean power of all faces and in the power of the mean "
        "face, where what sits at the same pixels of every face is left. Well above the floor, one half of the real faces "
        "against the other, it is seen as a grid of dots.",
    )
    header = ("faces", "gender", "power, dB", "period, pixels", "mean face, dB", "period, pixels")
    return TableBlock("Spectrum", header, rows, notes)


def _decibels(one: Excess) -> list[str]:
    return [f"{value:.1f}" for value in (one.power, one.period, one.locked, one.locked_period)]


def _percent(one: Estimate | None) -> str:
    if one is None or one.n == 0 or math.isnan(one.value):
        return "–"
    return f"{100 * one.value:.1f} [{100 * one.low:.1f}, {100 * one.high:.1f}]"
