"""POST /generate."""

import base64
import io
import secrets
import zipfile
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Body
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from configs.errors import InputError
from sga.generation import Face, Report
from sga.service.batcher import check_wanted
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
        """The faces that `sga generate` draws from the same seed and at the same size, byte for byte: larger ones by the
        model's upscaler, as `--size`."""
        asked: Any = body
        _check_pixels(service, asked)
        return await service.desk.do(request, asked.count, partial(service.begin, partial(_draw, service, asked)))

    return router


def _check_pixels(service: Service, wanted: Any) -> None:
    """Refuse faces that are many and large at once: what enlarging and encoding take grows with the pixels."""
    size, most = wanted.size or service.spec.size, service.settings.max_pixels
    pixels = wanted.count * size**2
    if size > service.spec.size and wanted.count > 1 and pixels > most:
        fitting = max(1, most // size**2)
        raise Problem(  # the body is as described, so this is none of the 422
            409,
            f"Expected faces of at most {most} pixels together, found {wanted.count} of {size} × {size}, which are {pixels}. "
            f"Ask for {fitting} at a time, or for smaller ones.",
        )


def _draw(service: Service, wanted: Any) -> Response:
    report = Report()
    seed = secrets.randbelow(2**32) if wanted.seed is None else wanted.seed
    where = wanted.where.model_dump(exclude_none=True)
    limit = service.settings.max_attempts
    attempts = min(service.spec.defaults.max_attempts, limit) if wanted.max_attempts is None else wanted.max_attempts
    asked = (wanted.gender, wanted.count, seed, wanted.min_quality, attempts, wanted.on_exhausted, where, report)
    try:
        drawn = service.model.stream(*asked, size=wanted.size)
    except InputError as error:  # the request is sound, and this model cannot meet it
        raise Problem(409, str(error)) from error
    faces = sorted(_encoded(drawn), key=lambda pair: pair[0].index)
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


def _encoded(drawn: Iterable[Face]) -> Iterator[tuple[Face, bytes]]:
    """Each face with its PNG as it is done, while the others are being drawn."""
    for face in drawn:
        yield face, face.png()
        check_wanted()


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
