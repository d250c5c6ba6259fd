"""A ladder of recipes: each is trained on the same faces for the same time, then measured in the same way.

    report = climb(Workspace("my"), load_settings(LadderSettings, "ladder", "candidates"))

A rung is a preset of the GAN. All rungs are brought to the first point of their length, then all to the second: a slow hour of
the machine strikes them alike, and what is there can be compared at any time. Time is that of training alone, by the loop's
own clock (`sga.training.clock`); where other work disturbs, CPU time or images take its place. Stopped and called again, it
goes on.
"""

from sga.ladder.climb import climb
from sga.ladder.settings import LadderSettings

__all__ = ["LadderSettings", "climb"]
