"""Projects on a Label Studio, connected to a backend of ours for as long as it runs, and left in order behind it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from configs.errors import StudioError
from labeling.studio.backend import HEADER, USER
from labeling.studio.client import StudioClient
from labeling.studio.connection import Connection
from labeling.studio.projects import Project, projects_of
from labeling.workspace import Workspace

__all__ = ["Attachment", "BackendClient"]

EVENTS = ("ANNOTATION_CREATED", "ANNOTATIONS_CREATED")
_TASKS, _BYTES = 100, 4 * 2**20
"""What the server hands to the backend in one request: a quarter of what that takes."""


class BackendClient(StudioClient):
    """What connecting a backend needs besides."""

    def connected(self, pid: int) -> tuple[dict[int, str], dict[int, str]]:
        """Backends and webhooks of ours that a project has: {id: URL of the backend} and {id: URL of its backend}."""
        with self._asking(f"the backends of project {pid}", pid) as sdk:
            backends = {one.id: one.url for one in sdk.ml.list(project=pid) if one.basic_auth_user == USER and one.id}
            webhooks = {
                one.id: one.url for one in sdk.webhooks.list(project=str(pid)) if HEADER in (one.headers or {}) and one.id
            }
        return backends, {number: url.removesuffix("/webhook") for number, url in webhooks.items()}

    def add_webhook(self, pid: int, url: str, headers: dict[str, str], actions: Sequence[str]) -> int:
        """Have `url` told what happens in a project. Returns the webhook's id."""
        with self._asking(f"a webhook for project {pid}", pid) as sdk:
            made = sdk.webhooks.create(
                project=pid, url=url, headers=headers, actions=actions, send_for_all_actions=False, send_payload=True
            )
        return int(made.id or 0)

    def rename_backend(self, number: int, pid: int, url: str, title: str, password: str) -> bool:
        """Give a backend another title; the server checks it anew, so all that it needs for that travels along.

        False: somebody removed it from the project.
        """
        with _unless_missing(), self._asking(f"the backend {url} for project {pid}", pid) as sdk:
            sdk.ml.update(
                number,
                project=pid,
                url=url,
                title=title,
                auth_method="BASIC_AUTH",
                basic_auth_user=USER,
                basic_auth_pass=password,
            )
            return True
        return False

    def remove_backend(self, number: int) -> None:
        """Take a backend away from its project, if it is still there."""
        with _unless_missing(), self._asking(f"the end of backend {number}") as sdk:
            sdk.ml.delete(number)

    def remove_webhook(self, number: int) -> None:
        """Take a webhook away, if it is still there."""
        with _unless_missing(), self._asking(f"the end of webhook {number}") as sdk:
            sdk.webhooks.delete(number)

    def ask_backend(self, pid: int, tasks: Sequence[int]) -> None:
        """Have the server ask a project's backend about those of the tasks that have no prediction of its version."""
        chosen = {"all": False, "included": list(tasks)}
        with self._asking(f"the predictions of {len(tasks)} tasks of project {pid}", pid) as sdk:
            sdk.actions.create(project=pid, id="retrieve_tasks_predictions", selected_items=chosen)


@dataclass
class _Hook:
    """What one project was given. version: the backend's title there; before: the project's model version without it."""

    webhook: int
    backend: int | None = None
    version: str = ""
    before: str = ""


class Attachment:
    """Connects the projects of a workspace on one server with the backend at `url`.

    Projects in which people label get its predictions; those and the reviews tell it of their answers. The server shows a
    backend's predictions while the project's model version is the backend's title, and orders tasks by predictions of that
    model version: both hold when the title is the version, so the title changes with it.
    """

    def __init__(self, space: Workspace, connection: Connection, url: str, secret: str) -> None:
        self._space, self._connection, self._url, self._secret = space, connection, url, secret
        self._client = BackendClient(connection, timeout=60.0)
        self._hooks: dict[int, _Hook] = {}

    @property
    def projects(self) -> int:
        """How many are connected."""
        return len(self._hooks)

    def served(self) -> list[Project]:
        """The projects that are to be connected."""
        return [one for one in projects_of(self._space, self._connection.server) if one.purpose not in ("quality", "cleaning")]

    def sync(self, version: str | None, on_error: Callable[[StudioError], None] | None = None) -> None:
        """Connect projects that are new, and bring all to a version of the predictions (None: there are none yet).

        on_error: told of a project with which that failed, before the next; without it, the first failure ends it.

        Raises:
            StudioError: the server is not there or refuses, or another backend serves a project already.
        """
        if on_error is None:
            self._client.version()
        for project in self.served():
            try:
                self._sync(project, version)
            except StudioError as error:
                if error.gone:
                    self._hooks.pop(project.id, None)
                elif on_error is None:
                    raise
                else:
                    on_error(error)

    def answers(self) -> int:
        """Annotations that are in the projects now, skips left out.

        Raises:
            StudioError: the server is not there or refuses.
        """
        total = 0
        for pid in list(self._hooks):
            try:
                total += int(self._client.project(pid).get("total_annotations_number") or 0)
            except StudioError as error:
                if not error.gone:
                    raise
                del self._hooks[pid]
        return total

    def detach(self) -> list[StudioError]:
        """Leave the projects as if there were no backend, with the predictions that it made; returns what failed."""
        failed = []
        for pid, hook in self._hooks.items():
            try:
                self._detach(pid, hook)
            except StudioError as error:
                failed += [] if error.gone else [error]
        self._hooks.clear()
        self._client.close()
        return failed

    def _sync(self, project: Project, version: str | None) -> None:
        pid = project.id
        hook = self._hooks.get(pid)
        if hook is None:
            self._clear(pid)
            before = str(self._client.project(pid).get("model_version") or "")
            # First: the server would make a webhook of its own for a new backend, one without the secret.
            webhook = self._client.add_webhook(pid, f"{self._url}/webhook", {HEADER: self._secret}, EVENTS)
            hook = self._hooks[pid] = _Hook(webhook, before=before)
        if project.purpose != "label" or version is None or hook.version == version:
            return
        if hook.backend is None:
            hook.backend = self._client.add_backend(pid, self._url, version, (USER, self._secret))
        elif not self._client.rename_backend(hook.backend, pid, self._url, version, self._secret):
            del self._hooks[pid]
            self._sync(project, version)
            return
        self._client.update_project(pid, model_version=version)
        for tasks in self._open_tasks(pid):
            self._client.ask_backend(pid, tasks)
        hook.version = version
        # The predictions of earlier versions stay: who has a task on the page this moment sends the number of the one it began
        # with, and the server refuses an answer whose prediction is gone. The page shows those of the newest version alone.

    def _open_tasks(self, pid: int) -> Iterator[list[int]]:
        """The tasks that nobody has answered, in portions whose data go through one request."""
        answered, portion, size = set(self._client.changed_tasks(pid, None)), list[int](), 0
        for task, data in self._client.tasks(pid):
            if task in answered:
                continue
            length = len(json.dumps(data))
            if portion and (len(portion) == _TASKS or size + length > _BYTES):
                yield portion
                portion, size = [], 0
            portion.append(task)
            size += length
        if portion:
            yield portion

    def _clear(self, pid: int) -> None:
        """Remove what a backend that was killed has left, unless it lives."""
        backends, webhooks = self._client.connected(pid)
        for url in {*backends.values(), *webhooks.values()} - {self._url}:
            if _lives(url):
                raise StudioError(
                    f"Expected no other backend for project {pid}, found one at {url}. Stop that one (Ctrl-C) and try again."
                )
        for number in backends:
            self._client.remove_backend(number)
        for number in webhooks:
            self._client.remove_webhook(number)

    def _detach(self, pid: int, hook: _Hook) -> None:
        try:
            if hook.backend is not None:
                self._client.remove_backend(hook.backend)
                self._show_again(pid, hook)
        finally:
            self._client.remove_webhook(hook.webhook)

    def _show_again(self, pid: int, hook: _Hook) -> None:
        """The server forgets the model version with its backend, and then shows no prediction at all."""
        for version in filter(None, (hook.version, hook.before)):
            with suppress(StudioError):  # a version of which no prediction is there is refused
                self._client.update_project(pid, model_version=version)
                return


@contextmanager
def _unless_missing() -> Iterator[None]:
    """Pass over that a backend or a webhook is no longer there: people may remove both on the page."""
    try:
        yield
    except StudioError as error:
        if error.gone or getattr(error.__cause__, "status_code", None) != 404:
            raise


def _lives(url: str) -> bool:
    """Whether a backend of ours answers there."""
    import httpx

    try:
        told = httpx.get(f"{url}/health", timeout=2.0, trust_env=False).json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return False
    return isinstance(told, dict) and "retrain" in told
