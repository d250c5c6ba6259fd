"""The simulated annotator: it learns from few labels, leaves no trace among people's, and its measurements are right."""

import hashlib
import io
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from classifiers import metrics, oracle, oracle_features, oracle_rounds
from classifiers.oracle import OracleSettings, Share, run_oracle
from classifiers.oracle_features import oracle_features as make_features
from classifiers.oracle_rounds import COLUMNS, Bench, RoundSettings, simulate, thin
from configs.errors import InputError
from labeling import picking, predictions
from labeling.provenance import Source
from labeling.workspace import Workspace
from sga.cli.main import main


def a_bench(n: int = 1500, rare: float = 0.2, skill: float = 1.0, seed: int = 0) -> Bench:
    """Two Gaussian classes, seen by three members with noise of their own."""
    rng = np.random.default_rng(seed)
    codes = (rng.random(n) < rare).astype(np.int64)
    common = rng.standard_normal((n, 12))
    common[:, :3] += skill * codes[:, None]
    members = tuple(np.concatenate([common, rng.standard_normal((n, 6))], axis=1) for _ in range(3))
    groups = np.array([f"{one:016x}" for one in np.arange(n) // 2])
    return Bench(members, common, codes, groups, np.arange(n) % 3 == 0, 2, 1)


ROUNDS = RoundSettings(start=20, batch=20, labels=200)


def test_a_simulation_learns_from_what_it_asked() -> None:
    bench = a_bench()
    told = simulate(bench, ~bench.test, bench.test, "random", 3, ROUNDS)
    assert tuple(told.columns) == COLUMNS
    assert told["labels"].tolist() == list(range(20, 201, 20))
    assert told["balanced_accuracy"].iloc[-1] > 0.75
    assert told["balanced_accuracy"].iloc[-1] > told["balanced_accuracy"].iloc[0] + 0.05
    assert (told["rare_found"].diff().dropna() >= 0).all()
    pd.testing.assert_frame_equal(told, simulate(bench, ~bench.test, bench.test, "random", 3, ROUNDS))
    other = simulate(bench, ~bench.test, bench.test, "uncertainty", 3, ROUNDS)
    assert told.iloc[0, 2:].tolist() == other.iloc[0, 2:].tolist()  # the same first labels
    assert told["balanced_accuracy"].tolist() != other["balanced_accuracy"].tolist()
    assert told.iloc[0].tolist() != simulate(bench, ~bench.test, bench.test, "random", 4, ROUNDS).iloc[0].tolist()


def test_only_faces_of_the_pool_are_asked_about_and_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, asked = a_bench(600), []

    def spy(name: str, count: int, pool: Any, seed: int) -> Any:
        assert pool.labelled[pool.candidates].max() == -1
        np.testing.assert_array_equal(pool.labelled[~pool.candidates], bench.codes[rows][~pool.candidates])
        found = picking.pick(name, count, pool, seed)
        asked.extend(found.rows.tolist())
        return found

    rows = np.flatnonzero(~bench.test)[:110]
    pool = np.isin(np.arange(600), rows)
    monkeypatch.setattr(oracle_rounds, "pick", spy)
    told = simulate(bench, pool, bench.test, "random", 0, ROUNDS)
    assert told["labels"].tolist() == [20, 40, 60, 80, 100, 110]  # no more than there are
    assert len(asked) == len(set(asked)) == 90
    assert told["rare_found"].iloc[-1] == (bench.codes[rows] == 1).sum()


def test_picking_at_the_border_does_not_shift_the_decision() -> None:
    """Labels picked where the class is open have other class shares than the pool; the learner must not take them for its."""
    bench = a_bench(3000, rare=0.1, skill=1.2)
    last = {
        name: np.mean(
            [simulate(bench, ~bench.test, bench.test, name, seed, ROUNDS)["balanced_accuracy"].iloc[-1] for seed in range(3)]
        )
        for name in ("random", "uncertainty")
    }
    assert last["uncertainty"] > last["random"] - 0.02


def test_while_one_class_alone_is_known_the_score_is_chance() -> None:
    bench = a_bench(900, rare=0.01)
    seed = next(seed for seed in range(20) if not _first(bench, seed).any())
    for strategy in ("uncertainty", "random"):
        told = simulate(bench, ~bench.test, bench.test, strategy, seed, ROUNDS)
        assert told["balanced_accuracy"].iloc[0] == 0.5
        assert told["rare_found"].iloc[0] == 0
        assert len(told) == 10


def _first(bench: Bench, seed: int) -> np.ndarray:
    rows = np.flatnonzero(~bench.test)
    return bench.codes[rows[np.random.default_rng([seed, 0]).permutation(len(rows))[: ROUNDS.start]]]


def test_a_rare_class_is_found_sooner_by_combined_than_by_chance() -> None:
    bench = a_bench(3000, rare=0.04, skill=1.5)
    found = {
        name: np.mean(
            [simulate(bench, ~bench.test, bench.test, name, seed, ROUNDS)["rare_found"].iloc[-1] for seed in range(3)]
        )
        for name in ("random", "combined")
    }
    assert found["combined"] > 1.5 * found["random"]


def test_thinning_reaches_the_share_and_touches_nothing_else() -> None:
    bench = a_bench()
    pool = ~bench.test
    thinned = thin(pool, bench.codes, 1, 0.05, 0)
    assert (thinned <= pool).all()
    np.testing.assert_array_equal(thinned[bench.codes == 0], pool[bench.codes == 0])
    assert (bench.codes[thinned] == 1).mean() == pytest.approx(0.05, abs=1e-3)
    assert (thinned != thin(pool, bench.codes, 1, 0.05, 1)).any()
    np.testing.assert_array_equal(thinned, thin(pool, bench.codes, 1, 0.05, 0))


def test_drawn_faces_are_held_out_by_group() -> None:
    bench = a_bench(600)
    drawn = bench.held_out("drawn", 0)
    assert drawn.mean() == pytest.approx(1 / 3, abs=0.01)
    np.testing.assert_array_equal(drawn[::2], drawn[1::2])  # the two of a group together
    assert (drawn != bench.held_out("drawn", 1)).any()
    np.testing.assert_array_equal(bench.held_out("test", 1), bench.test)


# -- on faces --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def settings(tiny_settings: dict[str, dict[str, Any]]) -> OracleSettings:
    fit = {"images": 96, "batch": 16, "learning_rate": 4e-3}
    features = {"members": tiny_settings["ensemble"]["members"], "components": 8, "fit": fit}
    return OracleSettings.model_validate(
        {"start": 10, "batch": 10, "labels": 40, "features": features, "launch": tiny_settings["launch"]}
    )


@pytest.fixture(scope="session")
def simulated(
    faces_workspace: Path, settings: OracleSettings, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, oracle.Simulation, dict[str, str]]:
    """A workspace in which two strategies were simulated with two seeds each, and what lay in it before."""
    import shutil

    root = Path(shutil.copytree(faces_workspace, tmp_path_factory.mktemp("oracle") / "workspace"))
    before = _contents(root)
    return root, run_oracle(Workspace(root), "gender", settings, ("random", "combined"), 2, progress=False), before


def _contents(root: Path) -> dict[str, str]:
    """Digests of all files but the cache of pixels, which any stage makes."""
    files = (path for path in root.rglob("*") if path.is_file() and not path.name.startswith("pixels-"))
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_oracle_leaves_no_trace_among_labels(simulated: tuple[Path, oracle.Simulation, dict[str, str]]) -> None:
    root, found, before = simulated
    after = _contents(root)
    assert {name: after[name] for name in before} == before
    assert all(name.startswith("labeling/oracle/") for name in after.keys() - before.keys())
    assert found.path == root / "labeling" / "oracle" / "curves-gender.csv"
    table = Workspace(root).table()
    known = table.labelled("gender")
    codes, test = table.codes("gender"), table.in_split("test")
    assert list(found.pool.values()) == np.bincount(codes[known & ~test], minlength=2).tolist()
    assert list(found.test.values()) == np.bincount(codes[known & test], minlength=2).tolist()
    assert found.curves.groupby(["strategy", "seed"])["labels"].agg(list).tolist() == [[10, 20, 30, 40]] * 4
    assert found.curves["balanced_accuracy"].between(0, 1).all()
    pd.testing.assert_frame_equal(pd.read_csv(found.path), found.curves, atol=1e-6)


def test_interrupted_it_goes_on_with_the_next_seed(
    simulated: tuple[Path, oracle.Simulation, dict[str, str]],
    settings: OracleSettings,
    copy_of: Callable[[Path], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root, found, _ = simulated
    space, real, ran = Workspace(copy_of(root)), oracle.simulate, []
    (space.root / "labeling" / "oracle" / "curves-gender.csv").unlink()

    def until(last: int) -> Callable[..., pd.DataFrame]:
        def run(bench: Bench, pool: np.ndarray, test: np.ndarray, strategy: str, seed: int, how: Any) -> pd.DataFrame:
            if len(ran) == last:
                raise KeyboardInterrupt
            ran.append((strategy, seed))
            return real(bench, pool, test, strategy, seed, how)

        return run

    def again(seeds: int = 2) -> oracle.Simulation:
        return run_oracle(space, "gender", settings, ("random", "combined"), seeds, progress=False)

    monkeypatch.setattr(oracle_features, "fit", None)  # no network is trained again
    monkeypatch.setattr(oracle, "simulate", until(3))
    with pytest.raises(KeyboardInterrupt):
        again()
    assert ran == [("random", 0), ("combined", 0), ("random", 1)]
    monkeypatch.setattr(oracle, "simulate", until(4))
    resumed = again()
    assert ran[3:] == [("combined", 1)]
    pd.testing.assert_frame_equal(resumed.curves, found.curves, atol=1e-6)
    monkeypatch.setattr(oracle, "simulate", until(6))
    assert again(3).curves["seed"].max() == 2
    assert ran[4:] == [("random", 2), ("combined", 2)]
    monkeypatch.setattr(oracle, "simulate", until(99))
    assert again(1).curves["seed"].max() == 0  # what is there of more seeds is left out
    assert len(ran) == 6
    other = settings.model_copy(update={"labels": 30})
    assert run_oracle(space, "gender", other, ("random",), 1, progress=False).curves["labels"].max() == 30
    assert ran[6:] == [("random", 0)]


@pytest.mark.parametrize("module", [picking, predictions, oracle_rounds, metrics])
def test_other_code_makes_other_curves(module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, changed = oracle._code(), tmp_path / "changed.py"
    changed.write_text(Path(module.__file__).read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
    monkeypatch.setattr(module, "__file__", str(changed))
    assert oracle._code() != before


def test_the_networks_never_saw_the_attribute(
    simulated: tuple[Path, oracle.Simulation, dict[str, str]], settings: OracleSettings, copy_of: Callable[[Path], Path]
) -> None:
    root, _, _ = simulated
    space = Workspace(copy_of(root))
    folder = space.root / "labeling" / "oracle" / "gender"
    before = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    assert sorted(name.rpartition("-")[0] for name in before) == ["densenet", "features", "resnet"]
    assert not list(folder.glob("*.checkpoint.pt"))
    table = space.table()
    rows = np.flatnonzero(table.labelled("gender"))
    table.fill("gender", rows, 1 - table.codes("gender")[rows], Source.HUMAN)
    table.save(space.labels_path)
    made = make_features(space, "gender", settings.features, settings.launch, folder, progress=False)
    assert {path.name: path.read_bytes() for path in folder.glob("*.safetensors")} == before  # other labels, same networks
    assert all(value.shape == (len(rows), 3 * settings.features.components) for value in made.members.values())
    rows = np.flatnonzero(table.labelled("hair_color") & ~table.in_split("test"))[:5]
    table.fill("hair_color", rows, (table.codes("hair_color")[rows] + 1) % table.schema["hair_color"].size, Source.HUMAN)
    table.save(space.labels_path)
    make_features(space, "gender", settings.features, settings.launch, folder, progress=False)
    after = {path.name for path in folder.glob("*.safetensors")}
    assert not after & before.keys()  # what they learn from changed, and the old ones are gone
    assert len(after) == 3


def test_what_cannot_be_simulated_says_what_to_type(
    faces_workspace: Path, settings: OracleSettings, copy_of: Callable[[Path], Path]
) -> None:
    space = Workspace(copy_of(faces_workspace))

    def refuse(match: str, attribute: str = "gender", strategies: tuple[str, ...] = ("random",), **more: Any) -> None:
        with pytest.raises(InputError, match=match):
            run_oracle(space, attribute, more.pop("settings", settings), strategies, 1, progress=False, **more)

    refuse("Expected strategies .*found guess", strategies=("random", "guess"))
    refuse("found none", strategies=())
    refuse("ordinal", attribute="quality")
    refuse("Did you mean gender", attribute="gendre")
    gender = space.table().schema["gender"]
    refuse("Type another --pool-share", share=Share.parse("male=0.9", gender))
    refuse("draw from, found", settings=settings.model_copy(update={"start": 5000}))
    for text in ("male", "male=", "male=2", "male=0", "=0.3x"):
        with pytest.raises(InputError, match=r"male=0\.03"):
            Share.parse(text, gender)
    with pytest.raises(InputError, match="Did you mean male"):
        Share.parse("mal=0.1", gender)
    table = space.table()
    for name in ("hair_color", "smile"):
        table.frame[f"{name}_source"] = np.int8(Source.MISSING)
        table.frame[name] = pd.array([pd.NA] * len(table), dtype="Int8")
    table.save(space.labels_path)
    oracle_folder = space.root / "labeling" / "oracle"
    for path in oracle_folder.rglob("features-*"):
        path.unlink()
    refuse("another attribute than gender")
    rows = np.flatnonzero(table.labelled("gender") & table.in_split("test"))
    table.fill("gender", rows, np.zeros(len(rows)), Source.HUMAN)
    table.save(space.labels_path)
    refuse(r"at least two values of gender held out \(split test\)")
    drawn = settings.model_copy(update={"held_out": "drawn"})
    refuse("another attribute than gender", settings=drawn)  # what is held out need not be of the split test
    rows = np.flatnonzero(table.labelled("gender"))
    table.fill("gender", rows, np.zeros(len(rows)), Source.HUMAN)
    table.save(space.labels_path)
    refuse(rf"two values of gender to draw from, found female.*--workspace {space.root}", settings=drawn)


def test_the_command_measures_and_draws(
    simulated: tuple[Path, oracle.Simulation, dict[str, str]], settings: OracleSettings, copy_of: Callable[[Path], Path]
) -> None:
    import yaml

    root, _, _ = simulated
    place = copy_of(root)
    preset = place.parent / "mine.yaml"
    preset.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    out = io.StringIO()
    options = ["--seeds", "2", "--strategies", "random, combined", "--pool-share", "male=0.2", "--preset", str(preset)]
    with redirect_stdout(out), pytest.raises(SystemExit) as end:
        main(["label", "simulate", "--workspace", str(place), *options])
    assert end.value.code == 0
    assert "oracle, gender: pool" in out.getvalue()
    assert "combined / random" in out.getvalue()
    with Image.open(place / "labeling" / "oracle" / "curves-gender-male-0.2.png") as picture:
        assert picture.size == (900, 560)
    assert (place / "labeling" / "oracle" / "curves-gender-male-0.2.csv").is_file()
    assert (place / "labeling" / "oracle" / "curves-gender.csv").is_file()
