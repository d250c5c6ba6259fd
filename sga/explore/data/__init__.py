"""Pictures of a workspace's data: which faces are alike, their averages, how many there are of what, which labels come
together, and samples of each label with its confidence.

`explore_data` draws them into a folder, with a page that shows all.
"""

from sga.explore.data.run import PARTS, Drawn, explore_data

__all__ = ["PARTS", "Drawn", "explore_data"]
