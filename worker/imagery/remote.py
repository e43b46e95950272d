"""Images on other hosts: which addresses may be read, a first look at each file, and how GDAL opens them."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import SplitResult, urlsplit

import rasterio
import requests
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from requests.adapters import HTTPAdapter

from jobs.errors import ImageryUnavailable
from jobs.inspection.raster import DRIVERS
from jobs.scenes.catalogue import retries
from jobs.scenes.items import sort_out
from jobs.settings import Settings

T = TypeVar("T")
_MAGIC: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"\0\0\0\x0cjP  ", b"\xffO\xffQ")
_ATTEMPTS: Final = 3
_PARALLEL: Final = 8
_REDIRECTS: Final = range(300, 400)


def refusal(href: str, catalogue: str) -> str | None:
    """Return why an asset's address may not be read, or None where it may.

    https to public hosts; any allowed scheme to the host of the catalogue itself, which the operator chose.
    """
    parts, root = urlsplit(href), urlsplit(catalogue)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return f"it is at {parts.scheme or 'no'}://, and only https is read"
    if parts.username or parts.password:
        return "its address holds a password"
    if _origin(parts) == _origin(root):
        return None
    if parts.scheme == "http" and parts.hostname != root.hostname:
        return f"it is at http://{parts.hostname}, and only https is read from hosts other than the catalogue's"
    if parts.hostname != root.hostname and not _is_public(parts.hostname):
        return f"{parts.hostname} is not a public host"
    return None


def readable(
    items: Iterable[T], hrefs: Callable[[T], Iterable[str]], catalogue: str
) -> tuple[tuple[T, ...], dict[str, int]]:
    """Return the items of which every file may be read, and why the others are left out: reason -> how many."""

    def fit(item: T) -> T | str:
        reason = next((found for href in hrefs(item) if (found := refusal(href, catalogue))), None)
        return f"not read because {reason}" if reason else item

    usable, refused = sort_out(items, fit)
    return tuple(usable), refused


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port


def _is_public(host: str) -> bool:
    """Whether every address of a host is public; a host that only a proxy can resolve is left to the proxy."""
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except socket.gaierror:
        return True
    return all(ipaddress.ip_address(str(address).split("%")[0]).is_global for address in found)


def probe(hrefs: Iterable[str], settings: Settings) -> None:
    """Look at the first bytes of every file; raises ImageryUnavailable unless each answers as TIFF or JPEG 2000.

    GDAL would follow redirects and guess at formats: a file that redirects or is something else is refused here.
    """
    with requests.Session() as session:
        session.mount("https://", HTTPAdapter(max_retries=retries(), pool_maxsize=_PARALLEL))
        session.mount("http://", HTTPAdapter(max_retries=retries(), pool_maxsize=_PARALLEL))
        with ThreadPoolExecutor(_PARALLEL) as pool:
            list(pool.map(partial(_probe, session, settings.stac_timeout), dict.fromkeys(hrefs)))


def _probe(session: requests.Session, timeout: float, href: str) -> None:
    name = _short(href)
    try:
        with session.get(
            href, headers={"Range": "bytes=0-15"}, timeout=timeout, allow_redirects=False, stream=True
        ) as answer:
            start = next(answer.iter_content(16), b"") if answer.ok else b""
    except requests.RequestException as error:
        msg = f"{name} did not answer within {timeout:g} s, after retries; try again later"
        raise ImageryUnavailable(msg) from error
    if answer.status_code in _REDIRECTS:
        raise ImageryUnavailable(f"{name} redirects elsewhere, which is not followed; the catalogue must name the file")
    if not answer.ok:
        raise ImageryUnavailable(f"{name} answered with status {answer.status_code}; try again later")
    if not start.startswith(_MAGIC):
        raise ImageryUnavailable(f"{name} is neither TIFF nor JPEG 2000; name another collection or catalogue")


def _short(href: str) -> str:
    parts = urlsplit(href)
    return f"{parts.scheme}://{parts.hostname}{parts.path}"


@contextmanager
def remote_raster(href: str, settings: Settings, *, overview: int | None = None) -> Iterator[DatasetReader]:
    """Open an image over HTTP: byte ranges only, two drivers, timeouts, retries; raises ImageryUnavailable."""
    try:
        with rasterio.Env(**_environment(settings)), _open(href, overview) as dataset:
            yield dataset
    except RasterioError as error:
        msg = f"{_short(href)} could not be read, after {_ATTEMPTS} attempts; try again later"
        raise ImageryUnavailable(msg) from error


def _open(href: str, overview: int | None) -> DatasetReader:
    options = {} if overview is None else {"overview_level": overview}
    for attempt in range(_ATTEMPTS):
        try:
            # GDAL remembers that a file was not there; from the second attempt on it is told to forget.
            with rasterio.Env(**({"CPL_VSIL_CURL_NON_CACHED": f"/vsicurl/{href}"} if attempt else {})):
                return DatasetReader(href, driver=list(DRIVERS), sharing=False, **options)
        except RasterioError:
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError


def _environment(settings: Settings) -> dict[str, Any]:
    seconds = str(max(1, round(settings.stac_timeout)))
    return {
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        "GDAL_PAM_ENABLED": "NO",
        "GDAL_HTTP_TIMEOUT": seconds,
        "GDAL_HTTP_CONNECTTIMEOUT": str(min(10, int(seconds))),
        "GDAL_HTTP_MAX_RETRY": "3",
        "GDAL_HTTP_RETRY_DELAY": "0.5",
        "GDAL_HTTP_MULTIRANGE": "YES",
        "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
        "GDAL_HTTP_NETRC": "NO",
        "GDAL_INGESTED_BYTES_AT_OPEN": "32768",
        "CPL_VSIL_CURL_CACHE_SIZE": str(128 * 1024**2),
        "VSI_CACHE": "YES",
        "GDAL_NUM_THREADS": "1",
    }
