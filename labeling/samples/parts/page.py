"""A whole illustration on one canvas: places, the people in them, panel borders, bubbles, a paper's grade."""

from __future__ import annotations

import colorsys

import numpy as np
import skia
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from labeling.samples.page import Page, Panel
from labeling.samples.parts.compose import paint_person
from labeling.samples.parts.figure import draw_figure_body
from labeling.samples.parts.pen import Pen, polygon
from labeling.samples.parts.places import draw_bubble, draw_place

__all__ = ["render_page"]


def render_page(page: Page) -> NDArray[np.uint8]:
    """Draw a page: uint8 RGB (height, width, 3)."""
    buffer = np.zeros((page.height, page.width, 4), dtype=np.uint8)
    surface = skia.Surface(buffer, colorType=skia.kRGBA_8888_ColorType)
    canvas = surface.getCanvas()
    canvas.clear(skia.ColorWHITE)
    pen = Pen(canvas)
    for panel in page.panels:
        _draw_panel(pen, page, panel)
    surface.flushAndSubmit()
    return _aged(np.ascontiguousarray(buffer[..., :3]), page)


def _draw_panel(pen: Pen, page: Page, panel: Panel) -> None:
    left, top, width, height = panel.box
    frame = polygon([(0, 0), (width, 0), (width, height), (0, height)])
    with pen.moved(left, top), pen.clipped(frame):
        draw_place(pen, panel.place, panel.scene, page.dice(f"place {panel.number}"), width, height)
        for person in panel.people:
            with pen.moved(person.x - left, person.y - top, person.lean, person.unit, person.unit):
                paint_person(pen, person.face, lambda face=person.face: draw_figure_body(pen, face))  # type: ignore[misc]
        d = page.dice(f"light {panel.number}")
        if d.chance(0.5):
            warm, cold = (colorsys.hsv_to_rgb(hue, 0.5, 1.0) for hue in (d.unit(), d.unit()))
            strength = d.uniform(0.05, 0.2)
            pen.gradient(frame, (0, 0), (width, height), [warm, cold], [strength, strength], mode="soft")
        for x, y, w, h in panel.bubbles:
            draw_bubble(pen, d, x - left, y - top, w, h)
    if len(page.panels) > 1:
        with pen.moved(left, top):
            pen.line(frame, (0.06, 0.06, 0.08), page.width * 0.004)


def _aged(pixels: NDArray[np.uint8], page: Page) -> NDArray[np.uint8]:
    """What scanning and compression of the page's year left: paler and grainier the older."""
    d, age = page.dice("age"), page.age
    values = pixels.astype(np.float32)
    if age > 0.3:
        values = np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(0.8 * age)), dtype=np.float32)
    gray = values.mean(axis=-1, keepdims=True)
    values = gray + (values - gray) * (1 - 0.3 * age)
    warm = np.array([1.0, 1.0 - 0.02 * age, 1.0 - 0.08 * age], np.float32)
    values = (values * (1 - 0.08 * age) + 12 * age) * warm
    noise = np.random.Generator(np.random.Philox(d.integer(0, 2**31))).standard_normal(pixels.shape[:2]).astype(np.float32)
    return np.clip(values + noise[..., None] * 4 * age**2 + 0.5, 0, 255).astype(np.uint8)
