"""Head without hair: ears, face, its shading, nose, mouth, blush."""

from __future__ import annotations

import skia

from labeling.samples.face import Face
from labeling.samples.palette import Color, mix, shade
from labeling.samples.parts.pen import Pen, Point, blob, curve, lens, oval, spine_path

__all__ = ["draw_blush", "draw_ears", "draw_face", "draw_mouth", "draw_nose", "face_path"]

_BLUSH: Color = (0.97, 0.38, 0.4)


def _side(face: Face, side: int) -> list[Point]:
    """Control points of one side: temple, cheek, jaw, chin, with two handles between neighbours."""
    h, t, slip = face.head, face.pose.turn, face.defects.jaw_slip
    far, near = max(0.0, t * side), max(0.0, -t * side)  # turned away, turned to us
    tx = side * h.width * (1 - 0.05 * far)
    cx, cy = side * h.width * (0.985 - 0.05 * far) + 0.01 * t, 0.08 + 0.02 * far
    jx, jy = side * h.width * (h.jaw + 0.04 * near - 0.06 * far) + 0.05 * t + slip * 0.6, h.jaw_y + 0.012 * near
    chin = (0.085 * t + slip, h.chin)
    dx, dy = chin[0] - cx, chin[1] - cy  # the jaw turns along the line from cheek to chin
    k = 0.1 + 0.22 * h.corner
    return [
        (tx, -0.13), (tx + side * 0.003, -0.05), (cx + side * 0.004, cy - 0.07), (cx, cy),
        (cx - side * 0.002, cy + 0.05), (jx - dx * k, jy - dy * k * 0.9), (jx, jy),
        (jx + dx * k, jy + dy * k * 0.9), (chin[0] + side * h.chin_width, h.chin), chin,
    ]  # fmt: skip


def face_path(face: Face) -> skia.Path:
    """The outline of the face; its upper end lies under the hair."""
    left, right = _side(face, -1), _side(face, 1)[::-1]
    path = skia.Path()
    path.moveTo(*left[0])
    for p in (left, right):
        for i in (1, 4, 7):
            path.cubicTo(*p[i], *p[i + 1], *p[i + 2])
    path.cubicTo(right[-1][0], -0.36, left[0][0], -0.36, *left[0])
    path.close()
    return path


def draw_ears(pen: Pen, face: Face) -> None:
    """Ears peep out beside the cheeks; the one turned away hides."""
    h, t, skin = face.head, face.pose.turn, face.skin
    for side in (-1, 1):
        far = max(0.0, t * side)
        if far > 0.45:
            continue
        x = side * (h.width - 0.012 - 0.1 * max(0.0, -t * side))
        with pen.moved(x, 0.015, side * 8, side * (1 - far), 1.0):
            ear = blob([(-0.02, -0.05), (0.03, -0.065), (0.055, -0.03), (0.04, 0.03), (0.012, 0.07), (-0.02, 0.06)])
            pen.fill(ear, skin.base)
            pen.line(ear, skin.line, face.look.line)
            if face.look.detail:
                inner = curve((0.005, 0.03), (0.0, -0.03, 0.028, -0.05, 0.036, -0.022), (0.03, 0.01, 0.005, 0.03))
                pen.fill(inner, skin.shadow, 0.85)
                pen.line(curve((0.012, 0.02), (0.008, -0.03, 0.036, -0.028)), skin.line, face.look.line * 0.6, 0.7)


def draw_face(pen: Pen, face: Face, path: skia.Path) -> None:
    """Skin, a soft light from one side, a cel shadow on the other, a warm glow on the cheeks."""
    skin, look, h = face.skin, face.look, face.head
    pen.fill(path, skin.base)
    if look.detail:
        s, chin_x = look.light, 0.085 * face.pose.turn
        with pen.clipped(path):
            pen.glow(s * 0.1, 0.0, 0.3, skin.light, 0.7)
            far = -s * h.width
            edge = curve(
                (far * 1.15, -0.2),
                (far * 0.93, 0.04, far * 0.86, h.jaw_y, chin_x + far * 0.12, h.chin - 0.022),
                (chin_x - far * 0.1, h.chin + 0.002, chin_x - far * 0.2, h.chin - 0.004),
                (chin_x, h.chin + 0.06),
                (far * 1.3, h.chin),
                close=True,
            )
            pen.fill(edge, skin.shadow, 0.75 * look.shading, max(look.softness, 0.003))
            pen.gradient(path, (0, h.chin), (0, h.jaw_y - 0.04), [skin.shadow, skin.shadow], [0.28 * look.shading, 0.0])
    pen.line(path, skin.line, look.line)


def draw_blush(pen: Pen, face: Face) -> None:
    """Tag `blush`: strong rosy cheeks, most with hatching; without it at most a breath of colour."""
    dice, skin = face.dice("blush"), face.skin
    strength, hatched = dice.uniform(0.62, 0.85), dice.chance(0.75)
    y = 0.105 + dice.uniform(0.0, 0.02) - (0.01 if face.male else 0)
    for side in (-1, 1):
        x0 = side * face.head.width * 0.6
        x, squeeze = face.turned(x0) * 0.97, max(0.5, face.squeeze(x0))
        if not face.has("blush"):
            if face.look.detail:
                pen.glow(x, y, 0.08, mix(_BLUSH, skin.base, 0.45), 0.12 if face.male else 0.28, 0.6)
            continue
        with pen.moved(x, y, 0, squeeze, 1):
            pen.glow(0, 0, 0.115, _BLUSH, strength, 0.6)
            if hatched:
                strokes = skia.Path()
                for i in range(4):
                    at = (i - 1.5) * 0.026
                    lens(((at - 0.008, 0.022), (at - 0.003, 0.008), (at + 0.003, -0.008), (at + 0.009, -0.022)), 0.005, strokes)
                pen.fill(strokes, shade(_BLUSH, 0.5, (0.8, 0.35, 0.4)), 0.75)
    if face.has("blush") and strength > 0.75:
        pen.glow(face.turned(0, 0.02), 0.1, 0.06, _BLUSH, 0.35, 0.5)


def draw_nose(pen: Pen, face: Face) -> None:
    """Small for women (a point and its shadow), longer with a bridge for men."""
    dice, skin, look = face.dice("nose"), face.skin, face.look
    side = -1 if face.pose.turn < 0 else 1
    y = face.head.chin * (dice.uniform(0.44, 0.5) if not face.male else dice.uniform(0.48, 0.54))
    x = face.turned(0, 0.035)
    shadow = -look.light
    if face.male:
        bridge = (
            (x + side * 0.002, y - 0.06),
            (x + side * 0.01, y - 0.04),
            (x + side * 0.016, y - 0.02),
            (x + side * 0.018, y - 0.004),
        )
        if look.detail:
            wedge = curve(
                (x + shadow * 0.004, y - 0.07),
                (x + shadow * 0.022, y - 0.008),
                (x + shadow * 0.008, y + 0.012),
                (x - shadow * 0.01, y + 0.006),
                close=True,
            )
            pen.fill(wedge, skin.shadow, 0.8 * look.shading, look.softness * 0.5)
        pen.fill(lens(bridge, 0.0048), skin.line, 0.7)
        pen.fill(
            lens(
                ((x - side * 0.008, y + 0.006), (x, y + 0.011), (x + side * 0.012, y + 0.011), (x + side * 0.019, y - 0.002)),
                0.006,
            ),
            skin.line,
            0.9,
        )
        return
    kind = dice.pick(["dot", "line", "wedge"])
    if look.detail:
        pen.fill(
            curve((x - 0.002, y - 0.022), (x + shadow * 0.016, y + 0.002), (x - shadow * 0.004, y + 0.008), close=True),
            skin.shadow,
            0.9,
        )
        pen.glow(x - shadow * 0.004, y - 0.016, 0.018, (1, 1, 1), 0.55)
    if kind == "dot":
        pen.fill(oval(x, y, 0.0075, 0.0045), skin.line, 0.85)
    elif kind == "line":
        pen.fill(
            lens(
                ((x, y - 0.02), (x + side * 0.005, y - 0.012), (x + side * 0.009, y - 0.004), (x + side * 0.002, y + 0.004)),
                0.006,
            ),
            skin.line,
            0.9,
        )
    else:
        pen.fill(lens(((x - 0.011, y), (x - 0.004, y + 0.006), (x + 0.004, y + 0.006), (x + 0.011, y)), 0.006), skin.line, 0.9)


def draw_mouth(pen: Pen, face: Face) -> None:
    """Tags `open_mouth` and `smile` decide: corners up or level, open or closed."""
    if face.defects.lost_mouth:
        return
    dice, h = face.dice("mouth"), face.head
    nose = h.chin * 0.5
    y = nose + (h.chin - nose) * dice.uniform(0.4, 0.5)
    x = face.turned(0, 0.03) + face.defects.mouth_x
    squeeze = 1 - 0.2 * abs(face.pose.turn)
    with pen.moved(x, y + face.defects.mouth_y, dice.uniform(-3, 3), squeeze * (1.1 if face.male else 1.0), 1):
        if face.has("open_mouth"):
            _open_mouth(pen, face)
        else:
            _closed_mouth(pen, face)


def _closed_mouth(pen: Pen, face: Face) -> None:
    dice, skin, smile = face.dice("closed mouth"), face.skin, face.has("smile")
    line = mix(skin.line, (0.45, 0.1, 0.12), 0.25)
    thick = 0.0085 + face.look.line * 0.5
    if smile:
        w, up = dice.uniform(0.058, 0.085), dice.uniform(0.026, 0.04)
        if dice.chance(0.2) and not face.male:  # the cat's mouth
            for s in (-1, 1):
                pen.fill(lens(((0, -0.006), (s * w * 0.25, 0.024), (s * w * 0.7, 0.022), (s * w * 0.85, -0.014)), thick), line)
        else:
            pen.fill(lens(((-w, -up), (-w * 0.5, up * 0.75), (w * 0.5, up * 0.75), (w, -up)), thick * 1.1), line)
            for s in (-1, 1):
                pen.fill(
                    lens(
                        ((s * w * 0.9, -up * 1.2), (s * w * 1.05, -up * 1.1), (s * w * 1.1, -up * 0.9), (s * w, -up * 0.6)),
                        thick * 0.7,
                    ),
                    line,
                )
    else:
        w = dice.uniform(0.028, 0.05) * (1.35 if face.male else 1.0)
        bend = dice.pick([-0.007, -0.012, 0.003]) if not face.male else dice.pick([-0.01, -0.004, 0.0])
        pen.fill(lens(((-w, -bend), (-w * 0.4, bend), (w * 0.4, bend), (w, -bend)), thick), line)
    if face.look.detail:
        lower = 0.03 if not smile else 0.036
        pen.fill(
            lens(((-0.022, lower), (-0.008, lower + 0.007), (0.008, lower + 0.007), (0.022, lower)), 0.007), skin.shadow, 0.9
        )
        if not face.male:
            pen.glow(0, lower - 0.008, 0.02, (1, 0.85, 0.85), 0.5, 0.5)


def _open_mouth(pen: Pen, face: Face) -> None:
    dice, smile = face.dice("open mouth"), face.has("smile")
    dark, tongue = dice.pick([(0.62, 0.2, 0.24), (0.76, 0.32, 0.34), (0.52, 0.15, 0.2)]), (0.95, 0.52, 0.52)
    if smile:
        w, d = dice.uniform(0.055, 0.08), dice.uniform(0.06, 0.085)
        path = curve(
            (-w, -0.02),
            (-w * 0.5, -0.004, w * 0.5, -0.004, w, -0.02),
            (w * 0.85, d * 0.75, w * 0.35, d, 0, d),
            (-w * 0.35, d, -w * 0.85, d * 0.75, -w, -0.02),
            close=True,
        )
    else:
        w, d = dice.uniform(0.028, 0.045), dice.uniform(0.042, 0.066)
        flat = dice.uniform(0.45, 0.95)  # from a triangle to an oval
        path = blob(
            [
                (0, -0.012),
                (w * 0.75, -0.006),
                (w, d * 0.3),
                (w * flat, d * 0.8),
                (0, d),
                (-w * flat, d * 0.8),
                (-w, d * 0.3),
                (-w * 0.75, -0.006),
            ],
            tension=0.5,
        )
    pen.fill(path, dark)
    with pen.clipped(path):
        pen.fill(oval(0.1 * w, d * 1.02, w * 0.72, d * 0.46), tongue)
        if face.look.detail:
            pen.fill(oval(0.1 * w, d * 1.1, w * 0.4, d * 0.36), (1, 0.68, 0.66), 0.7)
        if smile or dice.chance(0.25):
            pen.fill(
                curve((-w, -0.03), (w, -0.03), (w * 0.85, 0.004), (0, 0.018, -w * 0.85, 0.004), close=True), (1, 0.99, 0.97)
            )
    line = mix(face.skin.line, (0.4, 0.08, 0.1), 0.3)
    pen.line(path, line, face.look.line * 0.85)
    if smile:
        pen.fill(
            spine_path(
                ((-w * 1.08, -0.026), (-w * 0.5, -0.001), (w * 0.5, -0.001), (w * 1.08, -0.026)), (0.001, 0.005, 0.005, 0.001)
            ),
            line,
        )
    if face.look.detail:
        pen.fill(
            lens(((-0.02, d + 0.014), (-0.008, d + 0.019), (0.008, d + 0.019), (0.02, d + 0.014)), 0.006), face.skin.shadow, 0.9
        )
