"""GET /avatar/{id}.png."""

from functools import partial
from typing import Annotated, Any
from urllib.parse import quote, unquote_to_bytes

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field, create_model
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from configs.errors import UserError
from sga.generation.conditions import ANY
from sga.service.bodies import literal, size_told
from sga.service.middleware import HEAD, ROUTE
from sga.service.problems import ClientGone, Problem, documented, told
from sga.service.service import AvatarAsked, Service
from sga.service.validators import avatar_etag, not_modified

__all__ = ["Checked", "Direct", "avatar_routes"]

_FOR_EVER = "public, max-age=31536000, immutable"
_HEADERS = {
    "ETag": {"schema": {"type": "string"}, "description": "follows from model, algorithm, ID, gender and size"},
    "Cache-Control": {"schema": {"type": "string"}, "description": "immutable where the URL names the model"},
    "Content-Location": {"schema": {"type": "string"}, "description": "the URL that names the model, too"},
}


class _AnyText(Convertor[str]):
    """Any characters, slashes and line ends among them."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("text", _AnyText())


class Checked:
    """The last queries that were found valid, by their text: a picture is asked for many times with the same few."""

    most, longest = 256, 256

    def __init__(self) -> None:
        self._queries: dict[bytes, Any] = {}

    def get(self, text: bytes) -> Any:
        """The query of a text, None where it was not found valid before."""
        return self._queries.get(text)

    def put(self, text: bytes, query: Any) -> None:
        """Keep a valid query."""
        if len(self._queries) >= self.most:
            self._queries.clear()
        if len(text) <= self.longest:
            self._queries[text] = query


def avatar_routes(service: Service, checked: Checked) -> APIRouter:
    """The route of avatars. checked: filled in with what was found valid."""
    router, settings = APIRouter(), service.settings
    asked = _query(service)

    @router.get(
        "/avatar/{id:text}.png",
        response_class=Response,
        summary="The face of an ID",
        responses={
            200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}, "headers": _HEADERS},
            304: {"description": "The client's copy is still good", "headers": _HEADERS},
            **documented(400, 404, 422, 429, 503),
        },
    )
    async def avatar(
        request: Request,
        id: Annotated[str, Path(min_length=1, max_length=settings.max_id, description="any Unicode text, percent-encoded")],
        query: Annotated[asked, Query()],  # type: ignore[valid-type]
    ) -> Response:
        """One ID, one face, on every machine, as long as the model is the same."""
        _check_once(request)
        checked.put(request.scope["query_string"], query)
        return await _answer(service, request, _identity(request), query)

    return router


class Direct:
    """Answers GET /avatar/ID.png ahead of FastAPI where its query is known to be valid: FastAPI's own share of an answer is
    several times as long as all else that is done for it outside of the networks. What it cannot answer goes on to FastAPI.
    """

    def __init__(self, app: ASGIApp, service: Service, checked: Checked) -> None:
        self.app = app
        self.service = service
        self.checked = checked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["raw_path"].startswith(b"/avatar/"):
            return await self.app(scope, receive, send)
        query = self.checked.get(scope["query_string"])
        if query is None or scope["root_path"]:
            return await self.app(scope, receive, send)
        request = Request(scope, receive)
        try:
            identity = _identity(request)
            if not 0 < len(identity) <= self.service.settings.max_id:
                return await self.app(scope, receive, send)
            response = await _answer(self.service, request, identity, query)
        except (Problem, ClientGone, UserError) as error:
            response = told(error)
        scope[ROUTE] = "/avatar/{id}.png"
        return await response(scope, receive, send)


def _query(service: Service) -> type[BaseModel]:
    spec, settings = service.spec, service.settings
    fields: dict[str, Any] = {
        "size": (
            int,
            Field(spec.size, ge=settings.min_size, le=settings.max_size, description=size_told(spec, settings)),
        ),
        "gender": (literal(*spec.gender.values, ANY), Field(ANY, description="any: the ID decides")),
        "model": (
            str | None,
            Field(
                None,
                pattern="^[0-9a-f]{16}$",
                description="hash of the model (see /health): the answer may be kept for ever; another model answers 404",
            ),
        ),
    }
    return create_model("Avatar", __config__=ConfigDict(extra="forbid"), **fields)


def _check_once(request: Request) -> None:
    """Refuse a query that says a thing twice: of size=64&size=65 one would be left out silently."""
    names = [name for name, _ in request.query_params.multi_items()]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise Problem(422, f"Expected {twice} once in the query, found it {names.count(twice)} times. Leave one out.")


def _identity(request: Request) -> str:
    """The ID as UTF-8 of the bytes in the URL: the server's own reading replaces what is no UTF-8, and so mixes up IDs.

    Raises:
        Problem: no Unicode text, or the path does not end with .png.
    """
    raw = unquote_to_bytes(request.scope["raw_path"].partition(b"/avatar/")[2])
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise Problem(400, f"Expected an ID as percent-encoded UTF-8, found {raw!r}. Encode it anew.") from error
    if not text.endswith(".png"):
        raise Problem(404, f"Expected /avatar/ID.png, found {request.scope['path']!r}. Write the end .png as it is.")
    return text.removesuffix(".png")


async def _answer(service: Service, request: Request, identity: str, query: Any) -> Response:
    folder, spec, size = service.folder, service.spec, query.size
    if query.model not in (None, folder.hash, folder.drawing_hash):
        raise Problem(
            404, f"Expected the model {folder.hash} or none, found {query.model}. Leave model= out, or serve that one."
        )
    gender = None if query.gender == ANY else query.gender
    key = avatar_etag(folder.hash, spec.algorithm, identity, gender or ANY, size)
    # The drawing hash leaves the upscaler out, of which larger pictures are.
    drawing = folder.hash if size > spec.size else folder.drawing_hash
    pinned = query.model in (folder.hash, drawing)
    headers = {
        "ETag": key,
        "Cache-Control": _FOR_EVER if pinned else f"public, max-age={service.settings.max_age}",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Content-Location": _location(identity, query, drawing),
    }
    if not_modified(request, key):
        return Response(None, 304, headers)
    content = service.cache.get(key)
    service.metrics.cache.labels("miss" if content is None else "hit").inc()
    if content is None and HEAD in request.scope:
        return _Undrawn(None, 200, headers, "image/png")
    if content is None:
        draw = partial(service.begin_avatar, AvatarAsked(identity, gender, size))
        content = await service.desk.do(request, 1, draw, key, partial(service.cache.put, key))
    return Response(content, 200, headers, "image/png")


def _location(identity: str, query: Any, model: str) -> str:
    """The same picture's URL with the model's hash, relative to the server."""
    asked = {"size": query.size, "gender": query.gender} if query.model_fields_set else {}
    words = [f"{name}={value}" for name, value in asked.items() if name in query.model_fields_set]
    return f"/avatar/{quote(identity, safe='')}.png?{'&'.join([*words, f'model={model}'])}"


class _Undrawn(Response):
    """The headers of a picture that was not drawn: its length is not known."""

    def init_headers(self, headers: Any = None) -> None:
        super().init_headers(headers)
        self.raw_headers = [pair for pair in self.raw_headers if pair[0] != b"content-length"]
