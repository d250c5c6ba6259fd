"""What is asked of a Label Studio: a few calls of its SDK, each with its errors told in a sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.errors import StudioError
from labeling.studio.transport import WHOAMI, Transport

if TYPE_CHECKING:
    from label_studio_sdk.core.request_options import RequestOptions

__all__ = ["StudioClient"]

PAGE = 1000
EXPORT_CHUNK = 250  # ids travel in the URL, and a proxy in front may take no more than 8 kB of it
OVERLAP = timedelta(minutes=5)
_LONG: RequestOptions = {"timeout_in_seconds": 600}  # deleting 5,000 predictions takes 11 s


class StudioClient(Transport):
    """A Label Studio as one of its users. Nothing is sent before the first call; threads may share a client.

    timeout: seconds that one answer may take. Every method raises StudioError when the server is not there, refuses, or answers
    what was not expected (`gone` is True when the project was deleted there), and MissingExtra without the extra `studio`.
    Reads are repeated when the server is busy; what changes something is sent once and never repeated.
    """

    # --- the server -------------------------------------------------------------------------------------------------

    def version(self) -> str:
        """Version of the server, such as "1.23.2"; StudioError when it is no Label Studio or refuses the token."""
        answer = self._get("/api/version", "the version of Label Studio", keys=("release", "label-studio-os-package"))
        self.me()  # the version is told to anyone
        return str(answer["release"])

    def me(self) -> str:
        """E-mail address of the token's user."""
        return str(self._get(WHOAMI, "the token's user", keys=("email",))["email"])

    def users(self) -> dict[int, str]:
        """E-mail addresses of all users, by id."""
        with self._asking("the users") as sdk:
            return {_id(user, "a user"): str(user.email) for user in sdk.users.list()}

    # --- projects ---------------------------------------------------------------------------------------------------

    def create_project(self, title: str, config: str, description: str = "", model_version: str | None = None) -> int:
        """Make a project. title: 3 to 50 characters; config: the interface's XML. Returns its id."""
        more: dict[str, Any] = {} if model_version is None else {"model_version": model_version}
        with self._asking("a new project") as sdk:
            project = sdk.projects.create(title=title, label_config=config, description=description, **more)
        return _id(project, "the new project")

    def project(self, pid: int) -> dict[str, Any]:
        """What the server says of a project: id, title, label_config, model_version, task_number, …"""
        return dict(self._get(f"/api/projects/{pid}/", f"project {pid}", pid, ("id", "title")))

    def update_project(self, pid: int, **fields: Any) -> None:
        """Change fields of a project, such as model_version or sampling."""
        with self._asking(f"a change of project {pid}", pid) as sdk:
            sdk.projects.update(pid, **fields)

    def delete_project(self, pid: int) -> None:
        """Delete a project with all that people entered there."""
        with self._asking(f"the end of project {pid}", pid) as sdk:
            sdk.projects.delete(pid, request_options=_LONG)

    def attach_files(self, pid: int, folder: Path) -> None:
        """Let the server read the pictures below `folder`, on its own disk and below its document root; once a folder."""
        if folder.absolute() in self.attached_files(pid):
            return
        with self._asking(f"the folder {folder.absolute()} for project {pid}", pid) as sdk:
            sdk.import_storage.local.create(project=pid, path=str(folder.absolute()), title=folder.name, use_blob_urls=True)

    def attached_files(self, pid: int) -> list[Path]:
        """The folders of the server's disk that it may read for a project."""
        with self._asking(f"the folders of project {pid}", pid) as sdk:
            return [Path(storage.path or "") for storage in sdk.import_storage.local.list(project=pid)]

    def add_backend(self, pid: int, url: str, title: str, basic_auth: tuple[str, str] | None = None) -> int:
        """Connect a project to an ML backend; the server asks it at once. basic_auth: user and password to show there.

        Returns its id.
        """
        more: dict[str, Any] = {}
        if basic_auth is not None:
            more = {"auth_method": "BASIC_AUTH", "basic_auth_user": basic_auth[0], "basic_auth_pass": basic_auth[1]}
        with self._asking(f"the backend {url} for project {pid}", pid) as sdk:
            return _id(sdk.ml.create(project=pid, url=url, title=title, **more), "the backend")

    # --- tasks ------------------------------------------------------------------------------------------------------

    def tasks(self, pid: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (id, data) of every task of a project, by id, a page of 1,000 at a time."""
        for task in self._pages(pid, "id,data"):
            yield int(task["id"]), task["data"]

    def import_tasks(self, pid: int, tasks: list[dict[str, Any]]) -> int:
        """Add tasks ({"data": …, "predictions": […]}) in one request: all or, where one has wrong data, none. Returns how many.

        When it raises, the server may have them all the same: read the project's tasks before sending again.
        """
        with self._asking(f"{len(tasks)} tasks for project {pid}", pid) as sdk:
            answer = sdk.projects.import_tasks(pid, request=tasks, request_options=_LONG)  # type: ignore[arg-type]
        return _count(getattr(answer, "task_count", None), f"the import into project {pid}")

    def changed_tasks(self, pid: int, since: str | None) -> list[int]:
        """Ids of the tasks with an annotation made, edited, skipped or deleted after `since` (ISO 8601), ascending.

        None = all that have an annotation or a skip. The five minutes before `since` are told again: while one pull reads, a
        person may change what it has read already. A task that was itself deleted is not told.
        """
        include = "id,created_at,updated_at,total_annotations,cancelled_annotations"
        if since is None:
            conditions = [_greater("total_annotations", "Number", 0), _greater("cancelled_annotations", "Number", 0)]
        else:
            moment = (_moment(since) - OVERLAP).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            conditions = [_greater("updated_at", "Datetime", moment)]
        found = (task for condition in conditions for task in self._pages(pid, include, condition))
        return sorted({int(task["id"]) for task in found if _touched(task)})

    def export(self, pid: int, ids: Sequence[int]) -> list[dict[str, Any]]:
        """The tasks with these ids as the JSON export gives them, with all annotations, skipped ones too (was_cancelled).

        In the order of `ids`; those that are no longer there are left out. An annotation holds the prediction that it began
        with (`prediction`), a task the ids alone of those it has.
        """
        found: dict[int, dict[str, Any]] = {}
        for start in range(0, len(ids), EXPORT_CHUNK):
            # Without download_all_tasks a task is left out whose last annotation was deleted.
            chosen: dict[str, Any] = {"exportType": "JSON", "download_all_tasks": "true"}
            chosen["ids[]"] = list(ids[start : start + EXPORT_CHUNK])
            answer = self._get(f"/api/projects/{pid}/export", f"the answers of project {pid}", pid, **chosen)
            if not isinstance(answer, list):
                raise self._unexpected(f"the answers of project {pid}")
            found |= {int(task["id"]): task for task in answer}
        return [found[number] for number in ids if number in found]

    def predicted(self, pid: int) -> set[tuple[int, str]]:
        """(task, model version) of every prediction of a project."""
        told = self._get("/api/predictions/", f"the predictions of project {pid}", pid, project=pid)
        rows = told.get("results", ()) if isinstance(told, Mapping) else told
        return {(int(row["task"]), str(row.get("model_version") or "")) for row in rows}

    def import_predictions(self, pid: int, predictions: list[dict[str, Any]]) -> int:
        """Add predictions ({"task", "model_version", "score", "result"}) in one request. Returns how many."""
        with self._asking(f"{len(predictions)} predictions for project {pid}", pid) as sdk:
            answer = sdk.projects.import_predictions(pid, request=predictions, request_options=_LONG)  # type: ignore[arg-type]
        return _count(getattr(answer, "created", None), f"the predictions for project {pid}")

    def annotate(
        self, task: int, result: list[dict[str, Any]], lead_time: float | None = None, was_cancelled: bool = False
    ) -> int:
        """Add an annotation of the token's user. lead_time: seconds; was_cancelled: a skip. Returns its id."""
        more: dict[str, Any] = {} if lead_time is None else {"lead_time": lead_time}
        with self._asking(f"an annotation of task {task}") as sdk:
            return _id(sdk.annotations.create(id=task, result=result, was_cancelled=was_cancelled, **more), "the annotation")

    def image(self, path: str) -> bytes:
        """The bytes of a picture, asked for as the page does. path: as it stands in a task, such as /data/local-files/?d=…"""
        return self._raw(path, f"the picture {path}").content

    def _pages(self, pid: int, include: str, *conditions: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Every task that meets all conditions, by id. A page begins behind the last id, not at a number: people may delete
        tasks meanwhile, and then a numbered page would begin too late."""
        last = 0
        while True:
            filters = {"conjunction": "and", "items": [*conditions, _greater("id", "Number", last)]}
            query = json.dumps({"filters": filters, "ordering": ["tasks:id"]})
            chosen = {"project": pid, "page": 1, "page_size": PAGE, "fields": "task_only", "include": include, "query": query}
            answer = self._get("/api/tasks/", f"the tasks of project {pid}", pid, ("tasks", "total"), **chosen)
            yield from answer["tasks"]
            if len(answer["tasks"]) >= answer["total"]:
                return
            before, last = last, max((int(task["id"]) for task in answer["tasks"]), default=0)
            if last <= before:
                raise StudioError(
                    f"Expected {answer['total']} more tasks of project {pid} from {self.connection.url}, found none. "
                    "See the server's log, then type the same command again."
                )


def _greater(column: str, kind: str, value: str | int) -> dict[str, Any]:
    return {"filter": f"filter:tasks:{column}", "operator": "greater", "type": kind, "value": value}


def _touched(task: Mapping[str, Any]) -> bool:
    """False for a task that is as it was imported: the server stamps both times within a millisecond then."""
    if task["total_annotations"] or task["cancelled_annotations"]:
        return True
    return _moment(task["updated_at"]) - _moment(task["created_at"]) > timedelta(milliseconds=1)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _id(made: object, what: str) -> int:
    number = getattr(made, "id", None)  # the SDK takes any JSON for an answer
    if not isinstance(number, int):
        raise StudioError(f"Expected the id of {what} from the server, found another answer. Look what answers at --url.")
    return number


def _count(number: int | None, what: str) -> int:
    if number is None:
        raise StudioError(
            f"Expected a count after {what}, found none: this server works it off later (an enterprise edition?). "
            "Look there whether all arrived; the open-source edition is what this was tested with."
        )
    return int(number)
