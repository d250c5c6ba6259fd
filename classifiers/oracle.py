"""The oracle: an annotator simulated from known labels, to measure how few labels a strategy of picking needs.

Nothing of it is a person's label: it reads the label table, and writes only curves below `<workspace>/labeling/oracle/`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field

from classifiers import metrics, oracle_rounds
from classifiers.oracle_features import Features, FeatureSettings, oracle_features, reduce
from classifiers.oracle_rounds import COLUMNS, Bench, RoundSettings, simulate, thin
from classifiers.runtime import LaunchSettings, progress_bar
from configs.errors import InputError
from configs.files import atomic_path, read_json, write_json
from labeling import picking, predictions
from labeling.picking import STRATEGIES
from labeling.schema import Attribute
from labeling.table import LabelTable
from labeling.workspace import Workspace, fingerprint, table_fingerprint

__all__ = ["OracleSettings", "Share", "Simulation", "run_oracle"]


class OracleSettings(RoundSettings):
    """How the oracle is asked, and what learns from it: a logistic regression a member on features that are made once."""

    held_out: Literal["test", "drawn"] = Field(
        "test", description="faces that judge: the split test, or a third of the labelled faces, drawn by each seed in groups"
    )
    features: FeatureSettings
    launch: LaunchSettings = LaunchSettings()


@dataclass(frozen=True)
class Share:
    """What part of the pool is of one value: the labelled faces may have been chosen where a value was likely."""

    value: str
    share: float

    @classmethod
    def parse(cls, text: str, attribute: Attribute) -> Share:
        """`male=0.03`.

        Raises:
            InputError: another form, no such value, or a share outside (0, 1).
        """
        value, _, number = text.partition("=")
        try:
            share = float(number)
        except ValueError:
            share = float("nan")
        if not 0 < share < 1:
            raise InputError(
                f"Expected VALUE=SHARE with a share between 0 and 1, such as male=0.03; found {text!r}. Correct it."
            )
        attribute.code(value)
        return cls(value, share)

    def __str__(self) -> str:
        return f"{self.value}-{self.share:g}"


@dataclass(frozen=True)
class Simulation:
    """curves: a row a round, with the columns strategy, seed, labels, balanced_accuracy (on the test faces, in [0, 1]) and
    rare_found (labels of the rarest value); path: its CSV; pool, test: counts by value; feature_seconds, seconds: time spent
    now."""

    curves: pd.DataFrame
    path: Path
    attribute: Attribute
    rare: str
    pool: dict[str, int]
    test: dict[str, int]
    feature_seconds: float
    seconds: float


def run_oracle(
    workspace: Workspace,
    attribute: str,
    settings: OracleSettings,
    strategies: Sequence[str],
    seeds: int,
    share: Share | None = None,
    *,
    progress: bool = True,
) -> Simulation:
    """Simulate every strategy with every seed; what is done is kept in `labeling/oracle/curves-ATTRIBUTE[-VALUE-SHARE].csv`.

    Pool: the labelled faces that are not held out, thinned to `share` where one is given; truth: their labels. Stopped and
    called again, it continues with the next strategy and seed; other labels, settings or strategies' code begin anew.

    Raises:
        InputError: no such strategy, an attribute that cannot be simulated, or too few labels.
    """
    unknown = [name for name in strategies if name not in STRATEGIES]
    if unknown or not strategies:
        raise InputError(
            f"Expected strategies among {', '.join(STRATEGIES)}; found {', '.join(unknown) or 'none'}. Name others."
        )
    workspace.require("faces")
    table = workspace.table()
    _check(workspace, table, attribute, settings.held_out)
    folder = workspace.root / "labeling" / "oracle"
    features = oracle_features(workspace, attribute, settings.features, settings.launch, folder / attribute, progress=progress)
    bench, named = _bench(table, attribute, features, settings), table.schema[attribute]
    tests = [bench.held_out(settings.held_out, seed) for seed in range(seeds)]
    pools = [~test if share is None else _thinned(~test, bench, named, share, seed) for seed, test in enumerate(tests)]
    smallest = min(int(pool.sum()) for pool in pools)
    if settings.start + settings.batch > smallest:
        raise InputError(
            f"Expected at least {settings.start + settings.batch} labels of {attribute} to draw from, found {smallest}. "
            "Label more faces, or type: --set start=10 --set batch=5"
        )
    path = folder / f"curves-{attribute}{f'-{share}' if share else ''}.csv"
    learnt = settings.model_dump_json(exclude={"launch": True, "features": {"fit": {"checkpoint_seconds"}}})
    curves = _resume(path, fingerprint(table_fingerprint(table, completed=False), learnt, share, *_code()))
    started, done = time.monotonic(), set(zip(curves["strategy"], curves["seed"], strict=True))
    with progress_bar(progress) as bar:
        task = bar.add_task(f"oracle labels {attribute}", total=len(strategies) * seeds, note="")
        for seed in range(seeds):
            for strategy in strategies:
                bar.update(task, note=f"{strategy}, seed {seed}")
                if (strategy, seed) not in done:
                    rounds = simulate(bench, pools[seed], tests[seed], strategy, seed, settings)
                    curves = pd.concat([curves, rounds], ignore_index=True) if len(curves) else rounds
                    with atomic_path(path) as temporary:
                        curves.to_csv(temporary, index=False, float_format="%.6f")
                bar.advance(task)
    wanted = curves["strategy"].isin(strategies) & (curves["seed"] < seeds)
    return Simulation(
        curves[wanted].reset_index(drop=True),
        path,
        named,
        named.values[bench.rare],
        _counts(named, bench.codes[pools[0]]),
        _counts(named, bench.codes[tests[0]]),
        features.seconds,
        time.monotonic() - started,
    )


def _thinned(pool: np.ndarray, bench: Bench, attribute: Attribute, share: Share, seed: int) -> np.ndarray:
    """`thin`, and a clear error where the pool has too few faces of the value."""
    code = attribute.code(share.value)
    found, others = int((bench.codes[pool] == code).sum()), int((bench.codes[pool] != code).sum())
    if not 1 <= round(others * share.share / (1 - share.share)) <= found:
        least, most = 1 / (others + 1), found / (found + others)
        raise InputError(
            f"Expected a share of {share.value} from {least:.2g} to {most:.2g}, that of the labelled faces; found "
            f"{share.share:g}. Type another --pool-share."
        )
    return thin(pool, bench.codes, code, share.share, seed)


def _check(space: Workspace, table: LabelTable, name: str, held_out: Literal["test", "drawn"]) -> None:
    """Refuse what cannot be simulated before minutes go into features."""
    attribute, known, test = table.schema[name], table.labelled(name) & table.kept(), table.in_split("test")
    if attribute.kind == "ordinal":
        raise InputError(f"Expected an attribute whose values are classes, found {name}, which is ordinal. Name another.")
    parts = [(known, "to draw from")]
    if held_out == "test":
        parts = [(known & ~test, "to draw from"), (known & test, "held out (split test)")]
    for rows, where in parts:
        found = [attribute.values[code] for code in np.unique(table.codes(name)[rows])]
        if len(found) < 2:
            raise InputError(
                f"Expected labels of at least two values of {name} {where}, found {', '.join(found) or 'none'}. "
                f"Label more faces first: sga label push --attribute {name} --workspace {space.root}"
            )


def _bench(table: LabelTable, attribute: str, features: Features, settings: OracleSettings) -> Bench:
    codes, size = table.codes(attribute)[features.rows], table.schema[attribute].size
    members = tuple(features.members.values())
    counts = np.bincount(codes, minlength=size)
    return Bench(
        members,
        reduce(np.concatenate(members, axis=1), settings.features.components),
        codes,
        table.frame["group"].to_numpy()[features.rows].astype(str),
        table.in_split("test")[features.rows],
        size,
        int(np.where(counts > 0, counts, len(codes)).argmin()),
    )


def _counts(attribute: Attribute, codes: np.ndarray) -> dict[str, int]:
    return dict(zip(attribute.values, np.bincount(codes, minlength=attribute.size).tolist(), strict=True))


def _code() -> list[str]:
    """What picks, learns and measures: curves of another version of that are not to be mixed with today's."""
    modules = (picking, predictions, oracle_rounds, metrics)
    return [Path(module.__file__ or "").read_text(encoding="utf-8") for module in modules]


def _resume(path: Path, made_from: str) -> pd.DataFrame:
    """The curves so far, where they are of the same labels, settings and code; else none, and their file is gone."""
    stamp = path.with_suffix(".json")
    if path.is_file() and stamp.is_file() and read_json(stamp).get("made_from") == made_from:
        return pd.read_csv(path)
    path.unlink(missing_ok=True)
    write_json(stamp, {"annotator": "oracle", "made_from": made_from})
    return pd.DataFrame({name: [] for name in COLUMNS})
