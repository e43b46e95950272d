from __future__ import annotations

import asyncio
from collections.abc import Iterator

import bentoml
import httpx
import pytest
from bentoml._internal.configuration.containers import BentoMLContainer
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from service.face import NATIVE, Fronted

HOUR = 3600


async def _hello(_: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


class _Inner:
    @bentoml.api(route=NATIVE)  # type: ignore[untyped-decorator]  # BentoML ships no types
    def classify(self, number: int) -> int:
        return number + 1


def _application() -> Starlette:
    told = {"traffic": {"timeout": HOUR}, "metrics": {"enabled": False}}
    service = bentoml.service(name="faced", service_class=Fronted, **told)(_Inner)
    service.rest = Starlette(routes=[Route("/hello", _hello)])
    served: Starlette = service.to_asgi()
    return served


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    before = BentoMLContainer.tracer_provider.get()
    BentoMLContainer.tracer_provider.set(provider)
    yield exporter
    BentoMLContainer.tracer_provider.set(before)


async def _asked(app: Starlette, path: str, times: int = 1) -> tuple[httpx.Response, list[float]]:
    """Return the last answer, and how far off the timers are that the requests left."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        for _ in range(times):
            answer = await client.get(path)
    loop = asyncio.get_running_loop()
    left = [timer.when() - loop.time() for timer in loop._scheduled]  # type: ignore[attr-defined]
    return answer, left


def test_the_interface_is_answered_beside_bentoml() -> None:
    app = _application()
    assert asyncio.run(_asked(app, "/hello"))[0].text == "hello"
    schema = asyncio.run(_asked(app, "/schema.json"))[0].json()
    assert [route["route"] for route in schema["routes"]] == [NATIVE]
    assert asyncio.run(_asked(app, "/livez"))[0].status_code == 404  # which the interface of this test has not


def test_no_request_leaves_a_timer_behind() -> None:
    answer, left = asyncio.run(_asked(_application(), "/hello", times=20))
    assert answer.text == "hello"
    assert [seconds for seconds in left if seconds > HOUR / 2] == []


def test_bentoml_makes_no_spans_of_its_own(spans: InMemorySpanExporter) -> None:
    asyncio.run(_asked(_application(), "/hello"))
    assert spans.get_finished_spans() == ()
