"""Finds Triton's own Python environment and says how a server from it is launched."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service.stack.process import StackFailed

PROJECT_ROOT: Final = Path(__file__).resolve().parents[2]
_ASK: Final = """
import ctypes, json, os, sys, sysconfig
version = "%d.%d" % sys.version_info[:2]
folders = [f for f in (sysconfig.get_config_var("LIBDIR"), os.path.join(sys.base_prefix, "lib")) if f]
library = "libpython" + version + ".so.1.0"
try:
    shared = any(os.path.exists(os.path.join(f, library)) for f in folders) or bool(ctypes.CDLL(library))
except OSError:
    shared = False
print(json.dumps([version, ":".join(folders), sysconfig.get_path("purelib"), shared]))
"""
_BUNDLED_LIBRARY: Final = "3.13"
"""The stub of this version brings its libpython in the wheel; the others load the machine's."""
# The server needs no more of the caller's environment, which may hold keys of the object storage.
_PASSED: Final = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "CITYZONES_TRITON_THREADS")


class TritonMissing(StackFailed):
    """There is no Triton to start."""

    code = "triton-missing"


@dataclass(frozen=True, slots=True)
class TritonEnvironment:
    """The environment that holds the server and its OpenVINO: version of its Python, and the folders that matter."""

    folder: Path
    python: str
    libraries: str
    packages: Path

    @property
    def server(self) -> Path:
        """The server's binary."""
        return self.packages / "pytriton" / "tritonserver" / "bin" / "tritonserver"

    def link_backends(self, folder: Path) -> Path:
        """Fill a folder with links to the python backend and the stub of this environment's Python."""
        source = self.packages / "pytriton" / "tritonserver"
        stub = source / "python_backend_stubs" / self.python / "triton_python_backend_stub"
        if not stub.is_file():
            msg = f"the Triton wheel has no stub for Python {self.python}; make .triton with one of Python 3.8-3.13"
            raise TritonMissing(msg)
        backend = folder / "python"
        backend.mkdir(parents=True)
        shipped = source / "backends" / "python"
        for path in (shipped / "libtriton_python.so", shipped / "triton_python_backend_utils.py", stub):
            (backend / path.name).symlink_to(path)
        return folder

    def variables(self, *, threads: int | None) -> dict[str, str]:
        """Return the server's environment variables."""
        told = {name: os.environ[name] for name in _PASSED if name in os.environ}
        if threads:
            told["CITYZONES_TRITON_THREADS"] = str(threads)
        return told | {
            # The interpreter's own library first: the stub would otherwise load another libpython of the machine.
            "LD_LIBRARY_PATH": f"{self.libraries}:{self.packages / 'nvidia_pytriton.libs'}",
            "PATH": f"{self.folder / 'bin'}:{os.defpath}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }


def find_environment(told: Path | None = None) -> TritonEnvironment:
    """Return Triton's environment: the folder told, CITYZONES_TRITON_ENV, or `.triton` in the project.

    Raises TritonMissing where there is none or it lacks the server.
    """
    folder = told or Path(os.environ.get("CITYZONES_TRITON_ENV") or PROJECT_ROOT / ".triton")
    python = folder / "bin" / "python"
    if not python.exists():
        msg = f"there is no Triton environment in {folder}; `make` makes it, or set CITYZONES_TRITON_ENV"
        raise TritonMissing(msg)
    try:
        answer = subprocess.run(  # noqa: S603 - a path of this installation
            [str(python), "-I", "-c", _ASK], capture_output=True, check=True, timeout=60, text=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        msg = f"the Python of {folder} does not run ({error}); remove the folder and run `make` again"
        raise TritonMissing(msg) from error
    version, libraries, packages, shared = json.loads(answer.stdout)
    environment = TritonEnvironment(folder.absolute(), version, libraries, Path(packages))
    if not environment.server.is_file():
        msg = f"{folder} lacks nvidia-pytriton; remove the folder and run `make` again"
        raise TritonMissing(msg)
    if not shared and version != _BUNDLED_LIBRARY:
        msg = f"Triton needs libpython{version}.so.1.0: install it, or remove {folder} and run `make PYTHON=python3.13`"
        raise TritonMissing(msg)
    return environment
