"""A thin pen over a skia canvas: paths from points, tapered strokes, gradients, clips."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

try:
    import skia
except ImportError as error:
    from configs.errors import MissingExtra

    raise MissingExtra("skia-python", "train") from error

from labeling.samples.palette import Color

__all__ = [
    "Cubic",
    "Pen",
    "Point",
    "along",
    "blob",
    "curve",
    "lens",
    "oval",
    "part_of",
    "polygon",
    "ribbon_edges",
    "spine_path",
]

Point = tuple[float, float]
Cubic = tuple[Point, Point, Point, Point]

_FILL, _STROKE = skia.Paint.kFill_Style, skia.Paint.kStroke_Style
_NORMAL_BLUR = skia.kNormal_BlurStyle
MODES = {
    "multiply": skia.BlendMode.kMultiply,
    "screen": skia.BlendMode.kScreen,
    "soft": skia.BlendMode.kSoftLight,
    "overlay": skia.BlendMode.kOverlay,
    "plus": skia.BlendMode.kPlus,
}


def curve(start: Point, *segments: Sequence[float], close: bool = False) -> skia.Path:
    """A path: each segment has 2 (line), 4 (quadratic) or 6 (cubic) numbers."""
    path = skia.Path()
    path.moveTo(*start)
    for segment in segments:
        (path.lineTo if len(segment) == 2 else path.quadTo if len(segment) == 4 else path.cubicTo)(*segment)
    if close:
        path.close()
    return path


def polygon(points: Sequence[Point], close: bool = True) -> skia.Path:
    """Straight edges."""
    return curve(points[0], *points[1:], close=close)


def blob(points: Sequence[Point], close: bool = True, tension: float = 0.5) -> skia.Path:
    """A smooth path through all points (Catmull-Rom; tension 0.5 is the usual one, 0 gives straight edges)."""
    path, n, k = skia.Path(), len(points), tension / 3
    path.moveTo(*points[0])
    for i in range(n if close else n - 1):
        b, c = points[i], points[(i + 1) % n]
        a = points[i - 1] if close or i else b
        d = points[(i + 2) % n] if close or i + 2 < n else c
        path.cubicTo(b[0] + (c[0] - a[0]) * k, b[1] + (c[1] - a[1]) * k, c[0] - (d[0] - b[0]) * k, c[1] - (d[1] - b[1]) * k, *c)
    if close:
        path.close()
    return path


def oval(x: float, y: float, rx: float, ry: float) -> skia.Path:
    """An ellipse about (x, y)."""
    path = skia.Path()
    path.addOval(skia.Rect.MakeLTRB(x - rx, y - ry, x + rx, y + ry))
    return path


def along(c: Cubic, t: float) -> Point:
    """The point at t in [0, 1] of a cubic."""
    s = 1 - t
    a, b, d, e = s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t
    return (
        a * c[0][0] + b * c[1][0] + d * c[2][0] + e * c[3][0],
        a * c[0][1] + b * c[1][1] + d * c[2][1] + e * c[3][1],
    )


def _between(a: Point, b: Point, t: float) -> Point:
    return a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t


def part_of(c: Cubic, start: float, end: float) -> Cubic:
    """The piece of a cubic between two parameters (de Casteljau)."""
    t = start
    ab, bc, cd = _between(c[0], c[1], t), _between(c[1], c[2], t), _between(c[2], c[3], t)
    abc, bcd = _between(ab, bc, t), _between(bc, cd, t)
    rest = (_between(abc, bcd, t), bcd, cd, c[3])
    t = (end - start) / max(1 - start, 1e-9)
    ab, bc, cd = _between(rest[0], rest[1], t), _between(rest[1], rest[2], t), _between(rest[2], rest[3], t)
    abc, bcd = _between(ab, bc, t), _between(bc, cd, t)
    return rest[0], ab, abc, _between(abc, bcd, t)


def _normal(a: Point, b: Point) -> Point:
    dx, dy = b[0] - a[0], b[1] - a[1]
    length = math.hypot(dx, dy) or 1.0
    return -dy / length, dx / length


def ribbon_edges(c: Cubic, widths: Sequence[float]) -> tuple[Cubic, Cubic]:
    """Left and right edge of a band about a spine; `widths` are half widths at its four control points."""
    normals = (_normal(c[0], c[1]), _normal(c[0], c[2]), _normal(c[1], c[3]), _normal(c[2], c[3]))
    left = tuple((p[0] + n[0] * w, p[1] + n[1] * w) for p, n, w in zip(c, normals, widths, strict=True))
    right = tuple((p[0] - n[0] * w, p[1] - n[1] * w) for p, n, w in zip(c, normals, widths, strict=True))
    return left, right  # type: ignore[return-value]


def spine_path(c: Cubic, widths: Sequence[float], path: skia.Path | None = None) -> skia.Path:
    """A closed band about a spine (a lock of hair, a lash, a brow); width 0 at an end makes a point there."""
    left, right = ribbon_edges(c, widths)
    path = skia.Path() if path is None else path
    path.moveTo(*left[0])
    path.cubicTo(*left[1], *left[2], *left[3])
    path.lineTo(*right[3])
    path.cubicTo(*right[2], *right[1], *right[0])
    path.close()
    return path


def lens(c: Cubic, width: float, path: skia.Path | None = None) -> skia.Path:
    """A stroke pointed at both ends, `width` thick in its middle."""
    return spine_path(c, (0.0, width * 0.66, width * 0.66, 0.0), path)


class Pen:
    """Draws on one canvas. Colours are (r, g, b) in [0, 1]; widths, blurs and places are in the current units."""

    def __init__(self, canvas: skia.Canvas) -> None:
        self.canvas = canvas

    def _paint(self, color: Color, alpha: float, blur: float, mode: str | None, width: float | None = None) -> skia.Paint:
        paint = skia.Paint(skia.Color4f(color[0], color[1], color[2], alpha))
        paint.setAntiAlias(True)
        if width is not None:
            paint.setStyle(_STROKE)
            paint.setStrokeWidth(width)
            paint.setStrokeCap(skia.Paint.kRound_Cap)
            paint.setStrokeJoin(skia.Paint.kRound_Join)
        if blur:
            paint.setMaskFilter(skia.MaskFilter.MakeBlur(_NORMAL_BLUR, blur))
        if mode:
            paint.setBlendMode(MODES[mode])
        return paint

    def fill(self, path: skia.Path, color: Color, alpha: float = 1.0, blur: float = 0.0, mode: str | None = None) -> None:
        """Fill a path with one colour."""
        self.canvas.drawPath(path, self._paint(color, alpha, blur, mode))

    def line(self, path: skia.Path, color: Color, width: float, alpha: float = 1.0, blur: float = 0.0) -> None:
        """Stroke a path evenly."""
        self.canvas.drawPath(path, self._paint(color, alpha, blur, None, width))

    def gradient(
        self,
        path: skia.Path,
        start: Point,
        end: Point,
        colors: Sequence[Color],
        alphas: Sequence[float] | None = None,
        stops: Sequence[float] | None = None,
        mode: str | None = None,
    ) -> None:
        """Fill a path with colours that change from `start` to `end`."""
        paint = self._paint((0, 0, 0), 1.0, 0.0, mode)
        paint.setShader(
            skia.GradientShader.MakeLinear(
                [skia.Point(*start), skia.Point(*end)], _packed(colors, alphas), list(stops) if stops else None
            )
        )
        self.canvas.drawPath(path, paint)

    def glow(
        self, x: float, y: float, radius: float, color: Color, alpha: float, squeeze: float = 1.0, mode: str | None = None
    ) -> None:
        """A soft spot that fades to nothing at `radius`; `squeeze` scales its height."""
        paint = self._paint((0, 0, 0), 1.0, 0.0, mode)
        colors = _packed([color, color, color], [alpha, alpha * 0.45, 0.0])
        paint.setShader(skia.GradientShader.MakeRadial(skia.Point(0, 0), radius, colors, [0.0, 0.5, 1.0]))
        self.canvas.save()
        self.canvas.translate(x, y)
        self.canvas.scale(1, squeeze)
        self.canvas.drawCircle(0, 0, radius, paint)
        self.canvas.restore()

    @contextmanager
    def clipped(self, *paths: skia.Path) -> Iterator[None]:
        """Draw only inside all of `paths`."""
        self.canvas.save()
        for path in paths:
            self.canvas.clipPath(path, doAntiAlias=True)
        try:
            yield
        finally:
            self.canvas.restore()

    @contextmanager
    def moved(self, x: float = 0, y: float = 0, degrees: float = 0, sx: float = 1, sy: float = 1) -> Iterator[None]:
        """Draw translated to (x, y), then turned, then scaled."""
        self.canvas.save()
        self.canvas.translate(x, y)
        self.canvas.rotate(degrees)
        self.canvas.scale(sx, sy)
        try:
            yield
        finally:
            self.canvas.restore()


def _packed(colors: Sequence[Color], alphas: Sequence[float] | None) -> list[int]:
    alphas = [1.0] * len(colors) if alphas is None else alphas
    return [skia.Color4f(c[0], c[1], c[2], a).toColor() for c, a in zip(colors, alphas, strict=True)]
