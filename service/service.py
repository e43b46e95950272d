"""The BentoML service: life cycle, the native endpoint `classify`, and the REST interface mounted beside it."""

from __future__ import annotations

import gc
import logging
from pathlib import Path
from typing import Annotated, Any, Final, cast

import bentoml
from bentoml.exceptions import BadInput
from pydantic import ValidationError
from starlette.responses import Response

from jobs.keys import KEY_TEXT
from jobs.probes import OK
from jobs.reporting import start_logging
from jobs.settings import Settings
from jobs.tracing import start_tracing
from models.cards import card_of
from models.errors import CityzonesError
from service.app import create_app
from service.around import around
from service.classify import classify_tile
from service.face import NATIVE, Fronted
from service.forms import guard_form
from service.gate import Admission
from service.handlers import respond_to
from service.state import State
from service.wire import guard_uvicorn

settings = Settings()
start_logging(settings)
start_tracing("cityzones", settings)
app = create_app(settings)
guard_uvicorn(settings.public_url)

_BENTOML_ERRORS: Final = "bentoml._internal.server.http_app"
_BENTOML_ACCESS: Final = "bentoml.access"
_CONFIG: Final[dict[str, Any]] = {
    # The clock runs until the first byte of the answer, so it must allow for the slowest upload accepted.
    "traffic": {"timeout": 3600},
    "threads": 8,
    "metrics": {"enabled": False},
    "http": {"cors": {"enabled": False}},
    "monitoring": {"enabled": False},
    "logging": {"access": {"enabled": settings.access_log}},
}


class _ClientsFault(logging.Filter):
    """Keeps BentoML from logging a client's mistake as an error with a traceback; the problem logs it at info."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Pass everything but exceptions of that kind."""
        kind = record.exc_info[0] if record.exc_info else None
        return kind is None or not issubclass(kind, ValidationError | CityzonesError | BadInput)


class _NoKeys(logging.Filter):
    """Takes keys out of BentoML's access log, which holds every path, also one that a key was written into."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Pass every record."""
        said = record.getMessage()
        if KEY_TEXT.search(said):
            record.msg, record.args = KEY_TEXT.sub(r"cz_\1_…", said), ()
        return True


@bentoml.asgi_app(app, path="/")
class _Cityzones:
    """Maps of cities: Local Climate Zones and land cover, per pixel, scene or parcel."""

    def __init__(self) -> None:
        start_logging(settings)
        logging.getLogger(_BENTOML_ERRORS).addFilter(_ClientsFault())
        logging.getLogger(_BENTOML_ACCESS).addFilter(_NoKeys())
        self._state: State = app.state.open()
        app.openapi()  # a fifth of a second, that no request shall wait for
        gc.collect()
        gc.freeze()  # what is loaded by now stays: looking through it again and again takes a tenth of a second

    async def __is_ready__(self) -> bool:
        """Say whether storage, queue and model server answer; GET /readyz tells which does not."""
        answers = await app.state.probes().ask()
        return all(answer.said == OK for answer in answers.values())

    @bentoml.api(route=NATIVE)  # type: ignore[untyped-decorator]  # BentoML ships no types
    def classify(
        self,
        image: Path,
        model: str = settings.default_model,
        scale: float | None = None,
        offset: float | None = None,
    ) -> Annotated[Path, bentoml.validators.ContentType("image/tiff")]:
        """Map one GeoTIFF of at most 512 x 512 pixels at once; returns the class map as a GeoTIFF.

        `scale` and `offset` turn numbers into reflectance where the file does not say; buildings are not used.
        """
        return cast("Path", self._answer(image, model, scale, offset))

    def _answer(self, image: Path, model: str, scale: float | None, offset: float | None) -> Any:
        state = self._state
        try:
            data = classify_tile(image, card_of(model), state.triton, state.settings, scale=scale, offset=offset)
        except CityzonesError as error:
            return respond_to(error, public_url=settings.public_url, instance=NATIVE)
        name = "attachment; filename=classes.tif"
        return Response(data, media_type="image/tiff", headers={"Content-Disposition": name})


Cityzones = bentoml.service(name="cityzones", service_class=Fronted, **_CONFIG)(_Cityzones)
Cityzones.rest = app
guard_form(Cityzones.apis["classify"], file="image")
# Outermost first. The REST interface carries what is around it itself, for those who serve it without BentoML.
for layer in around(settings, app.state.metrics, app.state.contract, NATIVE):
    Cityzones.add_asgi_middleware(layer.cls, *layer.args, **layer.kwargs)
Cityzones.add_asgi_middleware(
    Admission, path=NATIVE, needs="submit", doorkeeper=app.state.doorkeeper, public_url=settings.public_url
)
