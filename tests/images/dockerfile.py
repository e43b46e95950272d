"""Reads Dockerfiles as far as the rules about them need, and the rules themselves."""

from __future__ import annotations

import ast
import fnmatch
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from jobs.queue import INTERACTIVE, QUEUES
from tests.images.names import ROOT, unknown_names

USER = "65532:65532"
LABELS = ("title", "description", "licenses", "version", "revision")
_PINNED = re.compile(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Dockerfile:
    """One file: its name and text."""

    name: str
    text: str

    @property
    def instructions(self) -> list[tuple[str, str]]:
        """Every instruction and its words, continued lines as one."""
        text = re.sub(r"\{#.*?#\}", "", self.text, flags=re.DOTALL)
        lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        joined = re.sub(r"\\\n", " ", "\n".join(lines))
        return [(word, rest.strip()) for word, _, rest in (line.strip().partition(" ") for line in joined.splitlines())]

    def all(self, word: str) -> list[str]:
        """What follows every instruction of this name."""
        return [rest for name, rest in self.instructions if name == word]

    def argument(self, name: str) -> str:
        """The default of a build argument."""
        return next((rest.partition("=")[2] for rest in self.all("ARG") if rest.startswith(f"{name}=")), "")


def read_dockerfiles() -> list[Dockerfile]:
    return [Dockerfile(path.name, path.read_text()) for path in sorted((ROOT / "docker").glob("*Dockerfile*"))]


def _base(file: Dockerfile) -> Iterator[str]:
    if not _PINNED.fullmatch(file.argument("BASE")):
        yield f"{file.name}: BASE has no digest"
    for told in file.all("FROM"):
        if told.split()[0] != "${BASE}":
            yield f"{file.name}: FROM {told} is not the argument BASE"


def _last_words(file: Dockerfile) -> Iterator[str]:
    if file.all("USER")[-1:] != [USER]:
        yield f"{file.name}: the user is not {USER}"
    for word in ("HEALTHCHECK", "STOPSIGNAL", "CMD"):
        if not file.all(word):
            yield f"{file.name}: no {word}"
    start = ', "cityzones-start"' if file.name == "worker.Dockerfile" else ""  # which brings the compiled kernels
    if file.all("ENTRYPOINT") != [f'["tini", "--"{start}]']:
        yield f"{file.name}: the entry point is not tini, which reaps and passes signals on"
    for label in LABELS:
        if not any(f"org.opencontainers.image.{label}=" in told for told in file.all("LABEL")):
            yield f"{file.name}: no label {label}"


def _installed(file: Dockerfile) -> Iterator[str]:
    for step in (step for told in file.all("RUN") for step in told.split("&&")):
        if "pip install" in step and "--require-hashes" not in step and "/build/wheels/" not in step:
            yield f"{file.name}: {step.strip()} checks no hashes"
    runs = " ".join(file.all("RUN"))
    if "apt-get install -y --no-install-recommends" not in runs or "rm -rf /var/lib/apt/lists/*" not in runs:
        yield f"{file.name}: apt keeps what is not needed"
    if "groupadd --gid 65532" not in runs or "useradd --uid 65532 --gid 65532" not in runs:
        yield f"{file.name}: useradd makes another user than {USER}"


def _named(file: Dockerfile) -> Iterator[str]:
    for name in unknown_names([file.text]):
        yield f"{file.name}: nothing reads {name}"


def _copied(file: Dockerfile) -> Iterator[str]:
    for told in file.all("COPY"):
        words = shlex.split(told)
        if any(word.startswith("--from") for word in words):
            continue
        for source in (word for word in words[:-1] if word not in {".", "src"}):
            yield from _source(file, source)


def _source(file: Dockerfile, source: str) -> Iterator[str]:
    bento = file.name.endswith(".j2")
    path = source.removeprefix("src/") if bento else source
    if not (ROOT / path).exists():
        yield f"{file.name}: {path} does not exist"
    elif bento and path not in yaml.safe_load((ROOT / "bentofile.yaml").read_text())["include"]:
        yield f"{file.name}: the bentofile leaves {path} out"
    elif not bento and not _in_context(path):
        yield f"{file.name}: .dockerignore leaves {path} out"


def _in_context(path: str) -> bool:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    taken = [line[1:] for line in lines if line.startswith("!")]
    return any(fnmatch.fnmatch(path, told) or path.startswith(f"{told}/") for told in taken)


def _queues(file: Dockerfile) -> Iterator[str]:
    for told in (ast.literal_eval(command) for command in file.all("CMD")):
        if "celery" in told:
            taken = told[told.index("-Q") + 1].split(",")
            yield from (
                f"{file.name}: nobody works at {queue}" for queue in (*QUEUES, INTERACTIVE) if queue not in taken
            )


def _imports(file: Dockerfile) -> Iterator[str]:
    """What the launcher of the model server imports lies in the image, which takes its modules one by one."""
    if file.name != "triton-cpu.Dockerfile":
        return
    copied = {word for told in file.all("COPY") for word in told.split() if word.endswith(".py")}
    todo, seen = ["service/stack/triton_server.py"], {"service/__init__.py", "service/stack/__init__.py"}
    while todo:
        path = todo.pop()
        seen.add(path)
        todo += [found for found in _imported(ROOT / path) if found not in seen]
    yield from (f"{file.name}: {path} is imported, and not copied" for path in sorted(seen - copied))


def _imported(path: Path) -> list[str]:
    tree = ast.parse(path.read_text())
    names = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    ours = [name.replace(".", "/") + ".py" for name in names if name.split(".")[0] in {"models", "service"}]
    parents = [f"{name.split('/')[0]}/__init__.py" for name in ours]
    # The guard is no import: it is started as a script beside the module that names it.
    scripts = re.findall(r"with_name\(\"(\w+\.py)\"\)", path.read_text())
    return [*ours, *parents, *(str(path.with_name(name).relative_to(ROOT)) for name in scripts)]


Rule = Callable[[Dockerfile], Iterator[str]]
DOCKERFILE_RULES: tuple[Rule, ...] = (_base, _last_words, _installed, _named, _copied, _queues, _imports)
