"""Asked hair colours (or another attribute) in columns: what was drawn, and what the judge saw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from configs.errors import InputError, did_you_mean
from labeling.schema import Attribute
from sga.explore.canvas import GOOD, MUTED, POOR, Canvas, Cell, Row
from sga.explore.faces import Cast, Score, Source, Take, genders_of, score, sources
from sga.explore.grids import check_numbers, edge, page_of
from sga.explore.picture import Picture
from sga.generation import FaceModel
from sga.generation.rng import seed_subject
from sga.model_folder import ModelSpec

__all__ = ["conditions"]


def conditions(
    model: FaceModel,
    *,
    attribute: str | None = None,
    seed: int = 0,
    gender: str | None = None,
    count: int = 3,
    accepted: bool = False,
    size: int | None = None,
) -> Picture:
    """Each value of an attribute of style in a column, `count` faces a gender below one another; a row shares its noise.

    Where the judge sees the asked value, it stands below the face in green; else what it sees, in red. A gap: no real style has
    the value and the gender. attribute: None = the first exclusive one. accepted: draw each face again until the judge sees
    gender, value and quality, as `sga generate --where` does, instead of the first attempt; rows share no noise then.

    Raises:
        InputError: no such attribute, an unknown gender, or a number out of its range.
    """
    spec, chosen = model.spec, _attribute(model.spec, attribute)
    codes = genders_of(spec, gender)
    check_numbers(count * chosen.size * len(codes), count=count)
    if not accepted and (spec.style_prior != "empirical" or not spec.style_size):
        raise InputError(
            f"Expected styles of real faces labelled with {chosen.name}, found a model without. Add --accepted: faces are "
            "drawn again until the judge sees the value."
        )
    found, takes, table = _plan(model, chosen, codes, count, seed, accepted)
    cast = Cast(model, found, takes)
    images = cast.images()
    scores = score(model, images, [take.gender for take in takes])
    lines = []
    for number, places in enumerate(table):
        cells = [
            Cell(None, [("no style", MUTED)]) if place is None else _cell(images[place], scores[place], chosen, value)
            for place, value in zip(places, chosen.values, strict=True)
        ]
        label = "" if number % count else spec.gender.values[codes[number // count]]
        lines.append(Row(cells, label, begins=number % count == 0))
    shares = _shares(chosen, table, scores)
    seen, asked = (sum(one[key] for one in shares.values()) for key in ("seen", "asked"))
    name = chosen.name.replace("_", " ")
    told = f"Below a face: what the judge sees, green where it is what was asked for: {seen} of {asked} faces. " + (
        f"Drawn again until the judge was content, {spec.defaults.max_attempts} times at most."
        if accepted
        else "First attempts, nothing picked; a row shares its noise."
    )
    page, boxes = page_of(Canvas(edge(model, size)), f"Asked for: {name}", told, lines, list(chosen.values))
    where = {place: box for places, line in zip(table, boxes, strict=True) for place, box in zip(places, line, strict=True)}
    alt = f"{len(takes)} faces, {name} by column ({', '.join(chosen.values)}). {told}"
    settings = {"seed": seed, "attribute": chosen.name, "accepted": accepted, "values": shares}
    return Picture.of(page, cast, [where[place] for place in range(len(takes))], scores, "conditions", alt, **settings)


def _plan(
    model: FaceModel, attribute: Attribute, codes: Sequence[int], count: int, seed: int, accepted: bool
) -> tuple[list[Source], list[Take], list[list[int | None]]]:
    """Sources, takes, and the number of the take by row and column, None where the model has no style for it."""
    seed_subject(seed)  # below, what is refused is taken for a style that the model has not
    found: list[Source] = []
    takes: list[Take] = []
    table: list[list[int | None]] = []
    for code in codes:
        rows: list[list[int | None]] = [[] for _ in range(count)]
        for value in attribute.values:
            drawn = _drawn(model, model.spec.gender.values[code], count, seed, {attribute.name: value}, accepted)
            for number, row in enumerate(rows):
                row.append(len(found) + number if drawn else None)
            takes += [Take(len(found) + number, len(found) + number, code) for number in range(len(drawn))]
            found += drawn
        table += rows
    if not found:
        raise InputError(
            f"Expected styles labelled with {attribute.name} in this model, found none. Name another with --attribute."
        )
    return found, takes, table


def _attribute(spec: ModelSpec, name: str | None) -> Attribute:
    """The named attribute of style, or the first exclusive one."""
    style = spec.attributes.with_role("style")
    if name is not None:
        known = {attribute.name: attribute for attribute in style}
        if name not in known:
            raise InputError(
                f"Expected an attribute of style ({', '.join(known)}), found {name!r}."
                + (did_you_mean(name, known) or " Name one with --attribute.")
            )
        return known[name]
    exclusive = [attribute for attribute in style if attribute.kind == "exclusive"]
    if not exclusive:
        raise InputError(f"Expected a schema with an exclusive attribute of style, found {spec.attributes.name} without.")
    return exclusive[0]


def _drawn(model: FaceModel, gender: str, count: int, seed: int, where: dict[str, str], accepted: bool) -> list[Source]:
    """Faces that were asked for; none where the model has no style for them."""
    try:
        model.draw(seed, 0, 0, gender, where)
    except InputError:
        return []
    return sources(model, gender, count, seed, unselected=not accepted, where=where)


def _cell(image: np.ndarray, one: Score, attribute: Attribute, asked: str) -> Cell:
    seen = one.seen[attribute.name]
    return Cell(image, [(seen, GOOD if seen == asked else POOR)])


def _shares(attribute: Attribute, table: Sequence[Sequence[int | None]], scores: Sequence[Score]) -> dict[str, dict[str, int]]:
    """By value: in how many faces it is seen, and in how many it was asked for."""
    shares = {}
    for column, value in enumerate(attribute.values):
        places = [row[column] for row in table]
        seen = [scores[place].seen[attribute.name] for place in places if place is not None]
        shares[value] = {"seen": seen.count(value), "asked": len(seen)}
    return shares
