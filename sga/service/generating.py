"""POST /generate."""

import base64
import io
import secrets
import zipfile
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Body
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from configs.errors import InputError
from sga.generation import Face, Report
from sga.service.bodies import DrawnFace, Generated, generate_body
from sga.service.problems import Problem, documented
from sga.service.service import Service

__all__ = ["generate_routes"]

_ZIP_DATE = (1980, 1, 1, 0, 0, 0)
"""The same faces give the same bytes."""


def generate_routes(service: Service) -> APIRouter:
    """The route that draws faces until the judge is content."""
    router = APIRouter()
    wanted = generate_body(service.spec, service.settings)

    @router.post(
        "/generate",
        response_model=Generated,
        summary="Faces until good",
        responses={
            200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}},
            **documented(400, 408, 409, 413, 422, 429, 503),
        },
    )
    async def generate(request: Request, body: Annotated[wanted, Body()]) -> Response:  # type: ignore[valid-type]
        """The faces that `sga generate` draws from the same seed, bit for bit."""
        asked: Any = body
        return await service.desk.do(request, asked.count, partial(service.begin, partial(_draw, service, asked)))

    return router


def _draw(service: Service, wanted: Any) -> Response:
    report = Report()
    seed = secrets.randbelow(2**32) if wanted.seed is None else wanted.seed
    where = wanted.where.model_dump(exclude_none=True)
    limit = service.settings.max_attempts
    attempts = min(service.spec.defaults.max_attempts, limit) if wanted.max_attempts is None else wanted.max_attempts
    asked = (wanted.gender, wanted.count, seed, wanted.min_quality, attempts, wanted.on_exhausted, where, report)
    try:
        drawn = service.model.stream(*asked)
    except InputError as error:  # the request is sound, and this model cannot meet it
        raise Problem(409, str(error)) from error
    # Each face is encoded as it is done, while the others are being drawn.
    faces = sorted(((face, face.png()) for face in drawn), key=lambda pair: pair[0].index)
    service.metrics.faces.labels("generate").inc(len(faces))
    service.metrics.attempts.labels("accepted").inc(report.accepted)
    service.metrics.attempts.labels("turned down").inc(report.attempts - report.accepted)
    if wanted.format == "zip":
        return Response(_zipped(faces, wanted.gender, seed), headers=_told(seed), media_type="application/zip")
    told = Generated(
        model=service.folder.hash,
        seed=seed,
        attempts=report.attempts,
        acceptance=report.acceptance,
        faces=[_described(service, face, png) for face, png in faces],
    )
    return JSONResponse(told.model_dump(), headers=_told(seed))


def _told(seed: int) -> dict[str, str]:
    return {"Cache-Control": "no-store", "SGA-Seed": str(seed)}


def _described(service: Service, face: Face, png: bytes) -> DrawnFace:
    attributes = service.spec.attributes
    probabilities = {}
    for name, values in face.probabilities.items():
        each = values.tolist() if values.ndim else [1 - float(values), float(values)]
        probabilities[name] = dict(zip(attributes[name].values, each, strict=True))
    return DrawnFace(
        index=face.index,
        gender=face.gender,
        accepted=face.accepted,
        failed=list(face.failed),
        attempt=face.attempt,
        attempts=face.attempts,
        quality=face.quality or 0.0,
        probabilities=probabilities,
        png=base64.b64encode(png).decode(),
    )


def _zipped(faces: list[tuple[Face, bytes]], gender: str, seed: int) -> bytes:
    """PNG files named as `sga generate` names them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for face, png in faces:
            archive.writestr(zipfile.ZipInfo(f"{gender}-{seed}-{face.index:04d}.png", _ZIP_DATE), png)
    return buffer.getvalue()
