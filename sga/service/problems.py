"""Errors as RFC 9457 problem details: what was expected, what was found, what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from configs.errors import InputError, UserError

__all__ = ["MEDIA_TYPE", "ClientGone", "Problem", "ProblemDetails", "documented", "install", "problem_response", "told"]

MEDIA_TYPE = "application/problem+json"


class ProblemDetails(BaseModel):
    """RFC 9457."""

    type: str = Field(description="always about:blank: the status says what kind of problem it is")
    title: str = Field(description="the status in words")
    status: int
    detail: str = Field(description="what was expected, what was found, and what to do next")


class Problem(Exception):  # noqa: N818 - the name that the standard has for it
    """An answer that is an error."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


class ClientGone(Exception):  # noqa: N818 - says what happened
    """The client closed the connection: whatever is answered, nobody reads it."""


def problem_response(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """The answer that tells of a problem; never kept by caches."""
    content = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return JSONResponse(content, status, {"Cache-Control": "no-store", **(headers or {})}, MEDIA_TYPE)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of answers that are problems."""
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    content = {MEDIA_TYPE: {"schema": schema}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def told(error: Problem | ClientGone | UserError) -> Response:
    """The answer to a request that ended so."""
    if isinstance(error, Problem):
        return problem_response(error.status, error.detail, error.headers)
    if isinstance(error, ClientGone):
        return Response(status_code=499)
    return problem_response(422 if isinstance(error, InputError) else 500, str(error))


def install(app: FastAPI) -> None:
    """Tell every error of the app as a problem."""

    @app.exception_handler(Problem)
    @app.exception_handler(ClientGone)
    @app.exception_handler(UserError)
    async def known(_: Request, error: Problem | ClientGone | UserError) -> Response:
        return told(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        kind = request.headers.get("content-type", "none").partition(";")[0].strip().lower()
        missing = any(one["type"] == "missing" for one in error.errors())
        if request.method == "POST" and not missing and not (kind == "application/json" or kind.endswith("+json")):
            return problem_response(422, f"Expected JSON with the header Content-Type: application/json, found {kind}. Add it.")
        return problem_response(422, _invalid(error.errors()))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if error.status_code == 404 and request.scope["path"].startswith("/avatar/"):
            return problem_response(404, f"Expected /avatar/ID.png, found {request.scope['path']!r}. Add .png to it.", headers)
        if error.status_code == 404:
            return problem_response(
                404, f"Expected a path of this service, found {request.scope['path']}. See /openapi.json.", headers
            )
        if error.status_code == 405:
            allowed = headers["Allow"] = headers.get("Allow", "").replace("GET", "GET, HEAD")
            return problem_response(405, f"Expected the method {allowed}, found {request.method}. Use that one.", headers)
        if error.status_code == 400:  # of a body that Python's parser gives up on
            found = "bytes that are none, lists too deep or a number too long"
            return problem_response(400, f"Expected a body of JSON in UTF-8, found {found}. Correct that.", headers)
        return problem_response(error.status_code, f"{error.detail}. See /openapi.json.", headers)

    @app.exception_handler(Exception)
    async def bug(_: Request, error: Exception) -> Response:
        return problem_response(500, f"Expected to answer, found a fault of the service ({type(error).__name__}). See its log.")


def _invalid(errors: Sequence[Any]) -> str:
    """Validation errors in one sentence each."""
    told = []
    for error in errors[:5]:
        if error["type"] == "json_invalid":
            at = f"{error.get('ctx', {}).get('error', error['msg'])} at character {error['loc'][-1]}"
            return f"Expected a body of JSON, found that it is none: {at}. Correct that."
        if error["type"] == "missing" and error["loc"] == ("body",):
            return "Expected a body of JSON, found none. Send {} at least: all fields have defaults."
        place = ".".join(str(part) for part in error["loc"][1:]) or "the body"
        found = repr(error.get("input"))
        told.append(f"{place}: {error['msg']}, found {found if len(found) <= 80 else found[:79] + '…'}")
    return f"Expected a request as /openapi.json describes it, found {'; '.join(told)}. Correct that."
