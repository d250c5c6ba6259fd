"""How a Label Studio is asked: one connection, errors told in a sentence, writes sent once."""

from __future__ import annotations

import json
import re
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from configs.errors import MissingExtra, StudioError
from labeling.studio.connection import Connection

if TYPE_CHECKING:
    import httpx
    from label_studio_sdk import LabelStudio
    from label_studio_sdk.core.api_error import ApiError

__all__ = ["WHOAMI", "Transport", "explain"]

WHOAMI = "/api/current-user/whoami"
_BUSY = (408, 429, 500, 502, 503, 504)  # SQLite that is locked is a 500
_WAITS = (0.3, 1.0, None)  # seconds before a read is tried again
_LONGEST = 300


class Transport:
    """The SDK of a server and its own reads of JSON. Nothing is sent before the first call; threads may share one.

    timeout: seconds that one answer may take.
    """

    def __init__(self, connection: Connection, timeout: float = 60.0) -> None:
        self.connection = connection
        self.timeout = timeout

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.connection.url})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the next call opens new ones. A client that nobody holds any more closes them by itself."""
        if self.__dict__.pop("_sdk", None) is not None:
            self._finalizer()

    @cached_property
    def _sdk(self) -> LabelStudio:
        try:
            import httpx
            from label_studio_sdk import LabelStudio
        except ModuleNotFoundError as error:
            raise MissingExtra("label-studio-sdk", "studio") from error
        http = httpx.Client(timeout=self.timeout, trust_env=not self.connection.is_local)  # no proxy knows this machine's own
        self._finalizer = weakref.finalize(self, http.close)
        return LabelStudio(base_url=self.connection.url + "/", api_key=self.connection.token, httpx_client=http, max_retries=0)

    @contextmanager
    def _asking(self, what: str, pid: int | None = None) -> Iterator[LabelStudio]:
        """The SDK, with its errors turned into ours. what: what is asked for; pid: the project that must be there for it."""
        try:
            import httpx
            from label_studio_sdk.core.api_error import ApiError
        except ModuleNotFoundError as error:
            raise MissingExtra("label-studio-sdk", "studio") from error
        try:
            yield self._sdk
        except (ApiError, httpx.HTTPError) as error:
            gone = False
            if pid is not None and isinstance(error, ApiError) and error.status_code == 404:
                with suppress(ApiError, httpx.HTTPError, ValueError):
                    gone = self._gone(pid)
            raise explain(error, self.connection, what, gone) from error
        except json.JSONDecodeError as error:
            raise self._unexpected(what) from error

    def _gone(self, pid: int) -> bool:
        """Whether the server is there and the project is not: other things may answer 404 as well."""
        return self._request(f"/api/projects/{pid}/").status_code == 404 and self._request(WHOAMI).status_code == 200

    def _unexpected(self, what: str) -> StudioError:
        return StudioError(
            f"Expected {what} from {self.connection.url}, found another text. Correct --url, or look what answers there."
        )

    def _request(self, path: str, **params: Any) -> httpx.Response:
        # By the SDK's transport, which renews the access that a personal token gives. The methods above it take a 404 in the
        # middle of a list for its end, send the ids of an export by a name that the server does not read, and wait three
        # seconds for a server that is not there.
        transport = self._sdk._client_wrapper.httpx_client
        for wait in _WAITS:
            response = transport.request(path, method="GET", params=params or None)
            if response.status_code not in _BUSY or wait is None:
                break
            time.sleep(wait)
        return response

    def _get(self, path: str, what: str, pid: int | None = None, keys: Sequence[str] = (), **params: Any) -> Any:
        """The JSON at `path`, a mapping with these keys if any; see `_raw`."""
        try:
            answer = self._raw(path, what, pid, **params).json()
        except ValueError as error:
            raise self._unexpected(what) from error
        if keys and not (isinstance(answer, dict) and answer.keys() >= set(keys)):
            raise self._unexpected(what)
        return answer

    def _raw(self, path: str, what: str, pid: int | None = None, **params: Any) -> httpx.Response:
        """The answer at `path`, asked for again while the server is busy. params: of the query."""
        from label_studio_sdk.core.api_error import ApiError

        with self._asking(what, pid):
            response = self._request(path, **params)
            if response.status_code != 200:
                raise ApiError(status_code=response.status_code, body=response.text)
            return response


def explain(error: ApiError | httpx.HTTPError, connection: Connection, what: str, gone: bool = False) -> StudioError:
    """An error of the SDK as a StudioError. what: what was asked for; gone: its project is no longer there."""
    import httpx
    from label_studio_sdk.core.api_error import ApiError

    url = connection.url
    if gone:
        return StudioError(
            f"Expected {what} at {url}, found that its project was deleted there. Push again to make another.", gone=True
        )
    if isinstance(error, ApiError):
        return _refusal(error, connection, what)
    if isinstance(error, httpx.TimeoutException):
        return StudioError(
            f"Expected {what} from {url}, found no answer in time. "
            "See whether the server is busy, then type the same command again."
        )
    if isinstance(error, httpx.ConnectError):
        return StudioError(
            f"Expected Label Studio at {url}, found nobody there ({_clean(error, connection)}). "
            "Type sga label studio to start one, or correct --url."
        )
    return StudioError(
        f"Expected {what} from {url}, found a broken connection ({type(error).__name__}: {_clean(error, connection)}). "
        "See whether the server still runs, then type the same command again."
    )


def _refusal(error: ApiError, connection: Connection, what: str) -> StudioError:
    url, status, told = connection.url, error.status_code, _clean(error.body, connection)
    if status in (None, 401):
        return StudioError(
            f"Expected a token that {url} takes, found it refused ({told}). Copy it again from Account & Settings there, "
            "and hand it over with --token or LABEL_STUDIO_API_KEY."
        )
    if status == 403:
        return StudioError(
            f"Expected {what} from {url}, found that the token's user may not ({told}). Use the token of a user who may."
        )
    if status == 404:
        return StudioError(f"Expected {what} at {url}, found nothing (404). See in Label Studio whether it was deleted.")
    if status is not None and 300 <= status < 400:
        return StudioError(f"Expected {what} from {url}, found a redirect elsewhere. Give --url as it stands in the browser.")
    if status == 400:
        return StudioError(f"Expected {what} to be taken by {url}, found it refused: {told}.")
    return StudioError(
        f"Expected {what} from {url}, found the answer {status}: {told}. "
        "See the server's log, then type the same command again."
    )


def _clean(told: Any, connection: Connection) -> str:
    """The telling part of a server's answer (which may be a page of 170 kB), in one line, without the token."""
    if isinstance(told, str) and told.startswith("{"):
        with suppress(ValueError):
            told = json.loads(told)
    if isinstance(told, dict):
        told = told.get("validation_errors") or told.get("detail") or told
    text = re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", str(told)[:20_000], flags=re.DOTALL)
    text = " ".join(text.replace(connection.token, "[token]").split())
    return (text if len(text) <= _LONGEST else text[:_LONGEST] + " …") or "no reason given"
