"""`cityzones callbacks secret`: what a tenant verifies its callbacks with."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from jobs.callbacks.signing import secrets_of, shown
from jobs.record import PUBLIC
from jobs.settings import Settings
from service.cli_map import FAILED, say_problem

app = typer.Typer(no_args_is_help=True, help="Callbacks: what receivers need to know.")


@app.callback()
def callbacks() -> None:
    """Keep `secret` a command of its own, also while it is the only one."""


@app.command()
def secret(tenant: Annotated[str, typer.Option(help="Whose; a service without keys has one tenant.")] = PUBLIC) -> None:
    """Print a tenant's secret, and the one before while it is rotated out; needs the service's settings."""
    found = secrets_of(tenant, Settings())
    if not found:
        say_problem({"detail": "set CITYZONES_CALLBACK_SECRET to what the service has: secrets derive from it"})
        raise typer.Exit(FAILED)
    for one in found:
        sys.stdout.write(f"{shown(one)}\n")
