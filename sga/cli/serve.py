"""`sga serve`."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Annotated

import typer

from configs.errors import MissingExtra
from sga.cli.options import DryRun, Overrides, show_settings

__all__ = ["serve"]


def serve(
    model: Annotated[
        str | None, typer.Option(metavar="DIR|NAME", help="Model folder or name. Without it: the one that ships.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at. Any but the default lets others ask, too.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 = a free one.")] = 8000,
    engine: Annotated[str, typer.Option(help="onnxruntime, openvino, or auto: openvino where it is installed.")] = "auto",
    cors: Annotated[
        list[str] | None, typer.Option(metavar="ORIGIN", help="Let pages of this origin call the API. Repeatable; * = all.")
    ] = None,
    page: Annotated[bool, typer.Option(help="Show the page at /.")] = True,
    access_log: Annotated[bool, typer.Option("--access-log", help="A line on stderr for each request, with its ID.")] = False,
    overrides: Overrides = None,
    dry_run: DryRun = False,
) -> None:
    """Avatars, faces and the page over HTTP, from this machine. Stop it with Ctrl-C."""
    from configs.loader import make_settings
    from sga.service.settings import ServiceSettings

    given = {"host": host, "port": port, "cors": cors or (), "page": page, "access_log": access_log}
    settings = make_settings(ServiceSettings, given, overrides=overrides or ())
    if dry_run:
        show_settings(settings)
        return
    for package in ("fastapi", "uvicorn", "prometheus_client"):
        if find_spec(package) is None:
            raise MissingExtra(package.replace("_", "-"), "serve")

    # Before NumPy is there: the small products of the critic are not worth threads that wait spinning beside the networks'.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    from sga.generation import FaceModel
    from sga.service.app import create_app
    from sga.service.server import bound_socket, is_loopback, url_of
    from sga.service.server import serve as run

    listener = bound_socket(settings.host, settings.port)
    loaded = FaceModel.load(model, engine)
    app = create_app(loaded, settings)
    if not is_loopback(settings.host):
        typer.echo(f"Others reach this service at {settings.host}, and it asks nobody who they are.", err=True)

    def started() -> None:
        url = url_of(listener)
        typer.echo(f"{loaded.spec.name} ({loaded.hash}) at {url}; an avatar: {url}/avatar/user-42.png. Ctrl-C stops it.")

    run(app, settings, listener, started)
    typer.echo("Stopped.", err=True)
