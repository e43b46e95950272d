"""Talks to a Triton server over its HTTP protocol: load, unload, and a real inference as the sign of life."""

from __future__ import annotations

import json
from typing import Any, Final

import httpx

from models.served import zeros_of
from service.stack.process import StackFailed

KEY_HEADER: Final = "cityzones-key"
RESTRICTED: Final = "model-repository,logging,trace"
"""Calls that can run code or write files; only who knows the key may use them, so no web page can."""


class ModelFailed(StackFailed):
    """A model could not be loaded, or does not answer."""

    code = "model-failed"


class TritonControl:
    """A client of one server's HTTP port."""

    def __init__(self, url: str, key: str, *, timeout: float = 120.0) -> None:
        self._http = httpx.Client(
            base_url=url,
            headers={KEY_HEADER: key},
            timeout=httpx.Timeout(timeout, connect=2.0),
            trust_env=False,  # a proxy of the user's must not see loopback traffic
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def live(self) -> bool:
        """Whether the server answers at all; its models may still be dead."""
        try:
            return self._http.get("/v2/health/live", timeout=5.0).is_success
        except httpx.TransportError:
            return False

    def names(self) -> list[str]:
        """Return the models of the repository, loaded or not."""
        return sorted({str(entry["name"]) for entry in self._post("/v2/repository/index", {}).json()})

    def load(self, model: str) -> None:
        """Load a model, or load it again; raises ModelFailed with the server's reason."""
        self._post(f"/v2/repository/models/{model}/load", {})

    def unload(self, model: str) -> None:
        """Unload a model; the call returns before the model is gone."""
        self._post(f"/v2/repository/models/{model}/unload", {})

    def ready(self, model: str) -> bool:
        """Whether the server believes that the model can answer (it goes on believing so when the stub is dead)."""
        try:
            return self._http.get(f"/v2/models/{model}/ready", timeout=5.0).is_success
        except httpx.TransportError:
            return False

    def probe(self, model: str) -> None:
        """Run one inference on zeros; raises ModelFailed where no answer comes."""
        config = self._checked(lambda: self._http.get(f"/v2/models/{model}/config"), model).json()
        told, body = [], b""
        for zeros in zeros_of(config):
            parameters = {"binary_data_size": zeros.nbytes}
            shape = list(zeros.shape)
            told.append({"name": zeros.name, "shape": shape, "datatype": zeros.datatype, "parameters": parameters})
            body += bytes(zeros.nbytes)
        head = json.dumps({"inputs": told, "parameters": {"binary_data_output": True}}).encode()
        headers = {"Inference-Header-Content-Length": str(len(head))}
        self._checked(lambda: self._http.post(f"/v2/models/{model}/infer", content=head + body, headers=headers), model)

    def _post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        return self._checked(lambda: self._http.post(path, json=body), path.split("/")[-2])

    def _checked(self, call: Any, model: str) -> httpx.Response:
        try:
            answer: httpx.Response = call()
        except httpx.TransportError as error:
            msg = f"Triton did not answer about {model}: {error or type(error).__name__}"
            raise ModelFailed(msg) from error
        if not answer.is_success:
            msg = f"Triton says of {model}: {answer.text.strip()[:500] or answer.status_code}"
            raise ModelFailed(msg)
        return answer
