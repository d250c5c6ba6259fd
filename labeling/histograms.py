"""Histograms as plain text: one line a value, unknown included."""

from __future__ import annotations

from collections.abc import Iterable

from labeling.table import Histogram

__all__ = ["format_histograms"]

_BAR = 32


def format_histograms(histograms: Iterable[Histogram]) -> str:
    """One block an attribute: count, share of all faces, a bar to the scale of the commonest value, and who said it."""
    return "\n\n".join(_block(histogram) for histogram in histograms)


def _block(histogram: Histogram) -> str:
    total = max(1, sum(histogram.counts.values()))
    most = max(1, *histogram.counts.values())
    width = max(map(len, histogram.counts))
    said = ", ".join(f"{count:,} {source}" for source, count in histogram.sources.items() if count)
    beside = f"; {histogram.left_out:,} faces left out" if histogram.left_out else ""
    lines = [f"{histogram.attribute} ({said or 'no faces'}{beside})"]
    for value, count in histogram.counts.items():
        bar = "█" * max(round(_BAR * count / most), 1 if count else 0)
        lines.append(f"  {value:<{width}} {count:>9,} {100 * count / total:5.1f} %  {bar}".rstrip())
    return "\n".join(lines)
