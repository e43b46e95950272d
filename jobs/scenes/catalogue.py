"""Searches a STAC catalogue the operator allows: an API by its search, a static one by walking it, both bounded."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import pystac
import requests
from pystac.errors import STACError
from pystac_client import Client
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from jobs.area import Area
from jobs.errors import ImageryUnavailable, InvalidRequest, NoImagery
from jobs.request import StacSearch
from jobs.settings import Settings
from models.errors import Fault

MAX_ITEMS: Final = 500
_PAGE: Final = 100
_WALKED: Final = 2000
_MAX_ANSWER: Final = 64 * 1024**2
_TIMEOUTS: Final = 10
_ATTEMPTS: Final = 3
_FAILURES: Final = (
    requests.RequestException,
    APIError,
    STACError,
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
)


def retries() -> Retry:
    """Return how requests are repeated: a few times, with back-off, where the other side was busy or not there."""
    return Retry(
        total=_ATTEMPTS, backoff_factor=0.3, status_forcelist=(429, 500, 502, 503, 504), allowed_methods=None,
        redirect=0, raise_on_redirect=False, raise_on_status=False, respect_retry_after_header=False,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """What a search brought: the catalogue's root and the items, not filtered yet."""

    root: str
    items: tuple[pystac.Item, ...]


def root_of(search: StacSearch, settings: Settings) -> str:
    """Return the root of the catalogue a request names; raises InvalidRequest unless the operator allows it."""
    wanted = search.catalogue or settings.stac_url
    for root in settings.catalogues:
        if wanted.rstrip("/") == root.rstrip("/"):
            return root
    msg = f"the catalogue {wanted} is not allowed here; allowed: {', '.join(settings.catalogues)}"
    raise InvalidRequest(msg, faults=[Fault("/inputs/imagery/stac/catalogue", "not an allowed catalogue")])


def search(wanted: StacSearch, area: Area, settings: Settings, *, by_cloud: bool = True) -> Found:
    """Return items of the collection that may fit; at most 500, the clearest first where the API can sort.

    Without `by_cloud` it is not asked for those under little cloud: aerial surveys do not tell of any.

    Raises ImageryUnavailable where the catalogue does not answer, NoImagery where it has no such collection.
    """
    root = root_of(wanted, settings)
    deadline = time.monotonic() + _TIMEOUTS * settings.stac_timeout
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pystac-client tells every catalogue's small faults as warnings
            io = _GuardedIO(root, settings, deadline)
            data = io.read_json(root)
            walk = partial(_searched, by_cloud=by_cloud) if _has_search(data) else _walked
            return Found(root, tuple(walk(io, root, data, wanted, area)))
    except _FAILURES as error:
        host = urlsplit(root).hostname
        msg = f"the catalogue at {host} did not answer as a STAC catalogue should, after retries; try again later"
        raise ImageryUnavailable(msg) from error


class _Guard(HTTPAdapter):
    """Sends requests only to the catalogue's own host, redirects included, and takes no answer without bounds."""

    def __init__(self, host: str | None, deadline: float) -> None:
        self._host = host
        self._deadline = deadline
        super().__init__(max_retries=retries())

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send one request; raises requests.RequestException where it may not be sent."""
        host = urlsplit(request.url or "").hostname
        if host != self._host:
            msg = f"the catalogue points at another host: {host}"
            raise requests.exceptions.InvalidURL(msg)
        if time.monotonic() > self._deadline:
            msg = "the catalogue took too long in all"
            raise requests.exceptions.Timeout(msg)
        response = super().send(request, *args, **kwargs)
        if int(response.headers.get("Content-Length") or 0) > _MAX_ANSWER:
            response.close()
            msg = "the catalogue's answer is too large"
            raise requests.exceptions.ContentDecodingError(msg)
        return response


class _GuardedIO(StacApiIO):
    """Reads STAC objects through `_Guard` only: never a local file, never another host."""

    def __init__(self, root: str, settings: Settings, deadline: float) -> None:
        super().__init__(timeout=settings.stac_timeout)
        guard = _Guard(urlsplit(root).hostname, deadline)
        self.session.mount("https://", guard)
        self.session.mount("http://", guard)
        self.session.max_redirects = 3

    def read_text(self, source: Any, *args: Any, **kwargs: Any) -> str:
        """Read a STAC object's text, following a paging link as it says; raises ValueError for local files."""
        href = source if isinstance(source, str) else str(source.to_dict()["href"])
        if urlsplit(href).scheme not in {"http", "https"}:
            msg = "the catalogue points at something that is not on the web"
            raise ValueError(msg)
        return str(super().read_text(source, *args, **kwargs))


def _has_search(data: dict[str, Any]) -> bool:
    return any(link.get("rel") == "search" for link in data.get("links", ()))


def _searched(
    io: StacApiIO, root: str, _: dict[str, Any], wanted: StacSearch, area: Area, *, by_cloud: bool
) -> Iterator[pystac.Item]:
    client = Client.open(root, stac_io=io)
    query: dict[str, Any] = {"query": {"eo:cloud_cover": {"lte": wanted.max_cloud_cover}}}
    sort = {"sortby": [{"field": "properties.eo:cloud_cover", "direction": "asc"}]}
    for extra in (query | sort, {}) if by_cloud else ({},):
        # A catalogue without the query or sort extension refuses them; its items are filtered here anyway.
        try:
            found = client.search(
                method=_method(client), collections=[wanted.collection], intersects=area.geojson,
                datetime=wanted.datetime, limit=_PAGE, max_items=MAX_ITEMS, **extra,
            )  # fmt: skip
            items = list(found.items())
        except (APIError, NotImplementedError):
            if not extra:
                raise
            continue
        yield from items
        return


def _method(client: Client) -> str:
    """POST where the catalogue offers it: outlines with many vertices do not fit into an address."""
    methods = {str(link.extra_fields.get("method", "GET")).upper() for link in client.get_links("search")}
    return "POST" if "POST" in methods else "GET"


def _walked(io: StacApiIO, root: str, data: dict[str, Any], wanted: StacSearch, area: Area) -> Iterator[pystac.Item]:
    """Walk a static catalogue: child links first for the collection, then every item below it."""
    pending = [(root, data)]
    visited = {root}
    seen = 0
    known: list[str] = []
    while pending:
        href, node = pending.pop(0)
        inside = node.get("type") == "Collection"
        if inside:
            known.append(str(node.get("id")))
            if node.get("id") != wanted.collection or not _may_hold(node, area):
                continue
        for link in node.get("links", ()):
            target = urljoin(href, str(link.get("href")))
            if link.get("rel") not in {"child", "item"} or target in visited:
                continue
            visited.add(target)
            seen += 1
            if seen > _WALKED:
                return
            below = io.read_json(target)
            if below.get("type") == "Feature":
                yield _item(below, target)
            else:
                pending.append((target, below))
    if wanted.collection not in known:
        there = ", ".join(known[:20]) or "none"
        msg = f"the catalogue at {urlsplit(root).hostname} has no collection {wanted.collection!r}; it has: {there}"
        raise NoImagery(msg, faults=[Fault("/inputs/imagery/stac/collection", "unknown collection")])


def _item(data: dict[str, Any], href: str) -> pystac.Item:
    item = pystac.Item.from_dict(data, href=href, preserve_dict=False)
    item.set_self_href(href)
    return item


def _may_hold(collection: dict[str, Any], area: Area) -> bool:
    """Whether a collection's extent, where it is told, touches the area."""
    boxes = collection.get("extent", {}).get("spatial", {}).get("bbox") or []
    west, south, east, north = area.geometry.bounds
    corners = 4
    return not boxes or any(
        len(b) != corners or (b[0] <= east and b[2] >= west and b[1] <= north and b[3] >= south) for b in boxes
    )
