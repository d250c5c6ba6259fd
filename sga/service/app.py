"""The application: routes, middleware, start and stop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sga.generation import FaceModel
from sga.service.avatars import Checked, Direct, avatar_routes
from sga.service.bodies import Health
from sga.service.generating import generate_routes
from sga.service.middleware import ROUTE, Bounded, Counted
from sga.service.problems import ProblemDetails, install
from sga.service.service import Service
from sga.service.settings import ServiceSettings
from sga.version import __version__

__all__ = ["create_app"]


def create_app(model: FaceModel, settings: ServiceSettings | None = None) -> FastAPI:
    """The service of one model, as an ASGI application. Its threads live from start-up to shut-down (lifespan).

    There are no pages at /docs: FastAPI's load their scripts from a third party. The description is at /openapi.json.
    """
    settings = settings or ServiceSettings()
    service = Service(model, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        service.close()

    app = FastAPI(
        title="SGA faces",
        description="Anime faces by gender and style: avatars for IDs, and faces drawn until the judge is content.",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    install(app)
    checked = Checked()
    app.include_router(avatar_routes(service, checked))
    app.include_router(generate_routes(service))
    _add_state(app, service)
    app.router.routes.extend(_page(model, settings))
    app.add_middleware(Direct, service=service, checked=checked)
    app.add_middleware(Bounded, settings=settings)
    if settings.cors:
        methods, shown = ["GET", "HEAD", "POST"], ["ETag", "Retry-After", "Content-Location", "SGA-Seed"]
        app.add_middleware(CORSMiddleware, allow_origins=settings.cors, allow_methods=methods, expose_headers=shown)
    app.add_middleware(Counted, metrics=service.metrics)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    return app


def _add_state(app: FastAPI, service: Service) -> None:
    @app.get("/health", response_model=Health, summary="Whether it is ready", responses={503: {"model": Health}})
    async def health() -> Response:
        """Ready once the model is loaded, which it is before the port is open; failed if drawing stopped."""
        spec, folder, ready = service.spec, service.folder, service.batcher.alive
        told = Health(
            status="ready" if ready else "failed",
            model=spec.name,
            hash=folder.hash,
            drawing_hash=folder.drawing_hash,
            algorithm=spec.algorithm,
            size=spec.size,
            genders=list(spec.gender.values),
            queue=service.desk.faces,
            version=__version__,
        )
        return JSONResponse(told.model_dump(), 200 if ready else 503, {"Cache-Control": "no-store"})

    text = {"content": {"text/plain": {"schema": {"type": "string"}}}}

    @app.get("/metrics", response_class=Response, summary="Figures for Prometheus", responses={200: text})
    async def metrics(request: Request) -> Response:
        """Requests, times, queue, session calls, faces, refusals."""
        content, media_type = service.metrics.text(request.headers.get("accept", ""))
        return Response(content, headers={"Content-Type": media_type, "Cache-Control": "no-store"})


def _page(model: FaceModel, settings: ServiceSettings) -> list[Route]:
    """The routes of the page, or of what is told in its place."""
    if settings.page and find_spec("sga.web") is not None:
        from sga.service.page import page_routes
        from sga.web import HEADERS, immutable, page_files

        return page_routes(page_files(model.folder, model), HEADERS, immutable)

    async def root(request: Request) -> Response:
        request.scope[ROUTE] = "page"
        paths = ["/avatar/{id}.png", "/generate", "/health", "/metrics", "/openapi.json"]
        return JSONResponse({"service": "sga-gan", "version": __version__, "page": False, "paths": paths})

    return [Route("/", root, methods=["GET"])]


def _described(app: FastAPI) -> dict[str, Any]:
    """OpenAPI as FastAPI makes it, with the schema of problems, to which the answers refer by name."""
    if app.openapi_schema is None:
        described = FastAPI.openapi(app)
        schemas = described.setdefault("components", {}).setdefault("schemas", {})
        schemas["ProblemDetails"] = ProblemDetails.model_json_schema()
    assert app.openapi_schema is not None
    return app.openapi_schema
