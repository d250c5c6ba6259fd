"""Pictures that people look at, drawn from a model folder alone: grids, differences, ways between faces, what the judge says.

Each function gives a `Picture`: an image, and a record that says what stands where and draws it again (`again`).
"""

from sga.explore.animation import encode
from sga.explore.conditions import conditions
from sga.explore.grids import gender, noise, styles
from sga.explore.judged import judged
from sga.explore.morph import Motion, end, frames, strip
from sga.explore.picture import Picture, again
from sga.explore.way import write_way

__all__ = [
    "Motion",
    "Picture",
    "again",
    "conditions",
    "encode",
    "end",
    "frames",
    "gender",
    "judged",
    "noise",
    "strip",
    "styles",
    "write_way",
]
