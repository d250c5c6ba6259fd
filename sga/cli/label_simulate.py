"""`sga label simulate`."""

from __future__ import annotations

from typing import Annotated

import typer

from sga.cli.options import DEFAULT_WORKSPACE, DryRun, Overrides, WorkspaceOption, show_settings

__all__ = ["simulate"]


def simulate(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    attribute: Annotated[str, typer.Option(help="Whose labels the oracle gives.")] = "gender",
    preset: Annotated[str, typer.Option(help="Preset of the oracle or a YAML file.")] = "cpu",
    seeds: Annotated[int, typer.Option(min=1, help="Simulations of each strategy.")] = 20,
    strategies: Annotated[
        str, typer.Option(help="Strategies to compare, with commas between.")
    ] = "random,uncertainty,combined",
    pool_share: Annotated[
        str | None,
        typer.Option(metavar="VALUE=SHARE", help="Thin a value in the pool to its real share, such as male=0.03."),
    ] = None,
    overrides: Overrides = None,
    dry_run: DryRun = False,
) -> None:
    """Measure how few labels each strategy needs, with an annotator (the oracle) that is simulated from the known labels.

    Nothing of it enters the labels: only curves are written, below labeling/oracle.
    """
    from classifiers import oracle
    from classifiers.oracle_picture import draw_curves
    from classifiers.oracle_report import efficiency, efficiency_markdown, read_curves, strategies_markdown
    from configs import load_settings
    from labeling.workspace import Workspace

    settings = load_settings(oracle.OracleSettings, "oracle", preset, overrides or ())
    if dry_run:
        show_settings(settings)
        return
    space = Workspace(workspace)
    names = list(dict.fromkeys(name.strip() for name in strategies.split(",") if name.strip()))
    share = None if pool_share is None else oracle.Share.parse(pool_share, space.table().schema[attribute])
    found = oracle.run_oracle(space, attribute, settings, names, seeds, share)
    curves = read_curves(found.curves)
    reference = "random" if "random" in curves else names[0]
    pool, test = (
        ", ".join(f"{value} {count:,}" for value, count in part.items() if count) for part in (found.pool, found.test)
    )
    faces = sum(found.pool.values())
    picture = found.path.with_suffix(".png")
    draw_curves(
        picture,
        curves,
        f"{attribute}: balanced accuracy on held-out faces, by labels",
        f"Annotator simulated from known labels (oracle); mean and 95 % interval of {seeds} seeds; "
        f"pool: {faces:,} faces, {100 * found.pool[found.rare] / faces:.2g} % {found.rare}",
    )
    typer.echo(f"oracle, {attribute}: pool {pool}; held out {test}; {seeds} seeds.\n")
    typer.echo(efficiency_markdown(efficiency(curves, reference), reference) + "\n")
    typer.echo(strategies_markdown(curves, reference, found.rare) + "\n")
    typer.echo(f"Curves: {found.path}, {picture}. Features {found.feature_seconds:.0f} s, simulation {found.seconds:.0f} s.")
