"""The ML backend that Label Studio asks: what the ensemble says of a task's faces now, and who is told that people answered.

It is asked by machines that others may reach, with bodies that hold tokens: no body is ever logged or sent back, every request
but /health needs the secret, and what goes wrong in here is told as a number to be looked up in the log.
"""

# Annotations stay objects here (no `from __future__`): FastAPI reads those of functions inside functions.

import hmac
import json
import os
import re
import secrets as randomness
import time
import traceback
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Any

from configs.errors import MissingExtra, UserError
from labeling.predictions import Predictions
from labeling.studio.projects import read_projects
from labeling.studio.retrain import Retrainer
from labeling.studio.tasks import Question, asked_in, build_prediction, with_predictions
from labeling.workspace import Workspace

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["HEADER", "LIMIT", "USER", "Ensemble", "FreshPredictions", "build_app", "mask"]

HEADER = "X-SGA-Secret"
"""Request header with which webhooks show the secret."""

USER = "sga"
"""User of the basic authentication with which the server shows the secret everywhere else."""

LIMIT = 16 * 2**20
"""Bytes that a request may have: a wall with embedded pictures has up to 5 MB."""

_LEARNT_FROM = ("label", "review")
_SECRETS = re.compile(
    r"\b[0-9a-f]{40}\b|\beyJ[\w-]+\.[\w-]+\.[\w-]*|(?<=token )\S+|(?<=bearer )\S+|(?<=basic )\S+", re.ASCII | re.IGNORECASE
)


@dataclass(frozen=True)
class Ensemble:
    """What the ensemble says. told[attribute]: face → value and confidence in [0, 1]."""

    version: str
    told: dict[str, dict[str, tuple[str, float]]]

    def predict(self, task: Any, attribute: str | None) -> dict[str, Any]:
        """The prediction for a task of either layout; without results where nothing is known of its faces. Never raises."""
        data = task.get("data") if isinstance(task, Mapping) else None
        nothing = {"model_version": self.version, "score": 0.0, "result": []}
        told = self.told.get(attribute or "", {})
        known = {key: told[key] for key, _ in asked_in(data) if key in told}
        if not known or not isinstance(data, Mapping):
            return nothing
        predicted = {key: Question(key, Path(), "", predicted=value, confidence=share) for key, (value, share) in known.items()}
        return build_prediction(with_predictions(data, predicted, self.version)) or nothing


class FreshPredictions:
    """`ensemble/predictions.npz`, read again whenever another file stands there. Threads may share it."""

    def __init__(self, space: Workspace) -> None:
        self._path = space.folder("ensemble") / "predictions.npz"
        self._values = {attribute.name: attribute.values for attribute in space.table().schema}
        self._lock = Lock()
        self._stamp: tuple[int, ...] = ()
        self._now: Ensemble | None = None

    def read(self) -> Ensemble | None:
        """What the newest readable file says; None where there is none yet."""
        with self._lock:
            stamp = self._look()
            if stamp != self._stamp:
                self._stamp = stamp
                with suppress(UserError):  # a damaged file: the one before it still holds
                    self._now = self._load() if stamp else None
            return self._now

    @property
    def version(self) -> str | None:
        """Of what `read` returns."""
        told = self.read()
        return told.version if told else None

    def _look(self) -> tuple[int, ...]:
        try:
            there = self._path.stat()
        except OSError:
            return ()
        return there.st_mtime_ns, there.st_size, there.st_ino

    def _load(self) -> Ensemble:
        predictions = Predictions.load(self._path)
        told = {name: predictions.suggestions(name, values) for name, values in self._values.items()}
        return Ensemble(predictions.version, told)


def build_app(
    space: Workspace,
    secret: str,
    retrainer: Retrainer | None = None,
    *,
    fresh: FreshPredictions | None = None,
    server: str | None = None,
    hide: Iterable[str] = (),
) -> "FastAPI":
    """The application. secret: what every request but /health has to show; fresh: where the predictions come from (None = the
    workspace); server: whose projects these are, `Connection.server` (None = the workspace's projects on any); hide: further
    secrets that must not reach the log, `labeling/backend.log`.

    Raises:
        MissingExtra: without the extra `serve`.
        WorkspaceError: the workspace has no label table.
    """
    try:
        from fastapi import Depends, FastAPI, HTTPException, Request
        from fastapi.responses import JSONResponse, Response
    except ImportError as error:
        raise MissingExtra("fastapi", "serve") from error

    fresh = fresh or FreshPredictions(space)
    app = FastAPI(title="sga label backend", docs_url=None, redoc_url=None, openapi_url=None)

    def trusted(request: Request) -> None:
        if not shows_secret(request.headers, secret):
            raise HTTPException(401, "the secret of this backend is needed", {"WWW-Authenticate": "Basic"})

    async def body(request: Request) -> dict[str, Any]:
        data = bytearray()
        async for chunk in request.stream():
            data += chunk
            if len(data) > LIMIT:
                raise HTTPException(413, f"at most {LIMIT} bytes are taken")
        try:
            payload = json.loads(data)
        except (ValueError, RecursionError):
            raise HTTPException(400, "the body has to be JSON") from None
        if not isinstance(payload, dict):
            raise HTTPException(400, "the body has to be a JSON object")
        return payload

    Payload = Annotated[dict[str, Any], Depends(body)]

    @app.middleware("http")
    async def keep_quiet(request: Request, proceed: Callable[[Request], Any]) -> Response:
        try:
            return await proceed(request)
        except Exception:
            number = randomness.token_hex(4)
            _log(space.root / "labeling" / "backend.log", f"{number}\n{mask(traceback.format_exc(), secret, *hide)}")
            return JSONResponse({"detail": "internal error", "id": number}, 500)

    @app.get("/health")
    def health() -> dict[str, Any]:
        state = {} if retrainer is None else {name: value for name, value in asdict(retrainer.state).items() if name != "error"}
        return {"status": "UP", "model_version": fresh.version, "retrain": state}

    @app.post("/setup", dependencies=[Depends(trusted)])
    def setup(payload: Payload) -> dict[str, Any]:
        return {"model_version": fresh.version or ""}  # the token in the payload is passed over

    @app.get("/versions", dependencies=[Depends(trusted)])
    def versions() -> dict[str, Any]:
        return {"versions": list(filter(None, [fresh.version]))}

    @app.post("/predict", dependencies=[Depends(trusted)])
    def predict(payload: Payload) -> dict[str, Any]:
        tasks, told = payload.get("tasks"), fresh.read()
        if not isinstance(tasks, list):
            raise HTTPException(400, "a list of tasks has to be there")
        if told is None:
            return {"results": [[] for _ in tasks]}  # nothing to keep: they are asked about again when there is something
        attributes = {one.id: one.attribute for one in read_projects(space) if server in (None, one.server)}
        attribute = attributes.get(_project_id(payload) or 0)
        return {"results": [told.predict(task, attribute) for task in tasks], "model_version": told.version}

    @app.post("/webhook", dependencies=[Depends(trusted)])
    def webhook(payload: Payload) -> dict[str, Any]:
        learnt_from = {one.id for one in read_projects(space) if server in (None, one.server) and one.purpose in _LEARNT_FROM}
        if retrainer is None or _project_id(payload) not in learnt_from:
            return {"status": "ignored"}
        action = payload.get("action")
        if action == "START_TRAINING":
            return {"status": "started" if retrainer.start() else "running already"}
        if action in ("ANNOTATION_CREATED", "ANNOTATIONS_CREATED"):
            retrainer.answered(_answers(payload.get("annotation")))
            return {"status": "counted"}
        return {"status": "ignored"}

    return app


def shows_secret(headers: Mapping[str, str], secret: str) -> bool:
    """Whether a request shows it, in the header of the webhooks or as the password of a basic authentication."""
    shown = [headers.get(HEADER, "")]
    kind, _, credentials = headers.get("Authorization", "").partition(" ")
    if kind.lower() == "basic":
        with suppress(ValueError):
            shown.append(b64decode(credentials, validate=True).decode().partition(":")[2])
    same = [hmac.compare_digest(one.encode(errors="replace"), secret.encode()) for one in shown]
    return any(same)


def mask(text: str, *secrets: str) -> str:
    """`text` with the secrets, and whatever looks like a token of Label Studio, blotted out."""
    for secret in filter(None, secrets):
        text = text.replace(secret, "[secret]")
    return _SECRETS.sub("[secret]", text)


def _project_id(payload: Mapping[str, Any]) -> int | None:
    """The project that a request is about: `"ID.TIME"` when predictions are asked for, an object with `id` in an event."""
    project = payload.get("project")
    number = project.get("id") if isinstance(project, Mapping) else str(project).partition(".")[0]
    try:
        return int(str(number))
    except ValueError:
        return None


def _answers(annotations: Any) -> int:
    """How many faces are answered in one annotation or several; a skip answers none, and a wall as many as are marked."""
    several = annotations if isinstance(annotations, list) else [annotations]
    count = 0
    for one in several:
        if isinstance(one, Mapping) and not one.get("was_cancelled") and isinstance(one.get("result"), list):
            count += len({str(region.get("from_name")) for region in one["result"] if isinstance(region, Mapping)})
    return count


def _log(path: Path, text: str) -> None:
    """Append to a file that its owner alone can read; a full disk must not take the page's answer away."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as handle:
            handle.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n")
