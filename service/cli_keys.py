"""`cityzones keys`: makes, lists, replaces and revokes keys, and sets tenants' limits; on storage, not over HTTP."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.table import Column, Table

from models.errors import CityzonesError
from service.cli_map import FAILED, AsJson, console, say_problem

if TYPE_CHECKING:  # storage and settings are loaded only by the commands that need them
    from jobs.keys import KeyRecord, KeyStore, NewKey, Scope
    from jobs.tenants import TenantStore

app = typer.Typer(no_args_is_help=True, help="Keys and tenants' limits; needs the service's settings and storage.")

KeyId = Annotated[str, typer.Argument(help="Id of the key: what stands between cz_ and the next _.")]


@app.command()
def create(
    tenant: Annotated[str, typer.Option(help="Whose key it is: lower-case letters, digits, hyphens.")],
    scope: Annotated[list[str], typer.Option(help="read, submit or admin; may be given again.")],
    name: Annotated[str, typer.Option(help="What it is for.")] = "",
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="Until it expires; never if absent.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it; this is the only time it is shown."""
    from jobs.keys import SCOPES  # noqa: PLC0415
    from jobs.record import now  # noqa: PLC0415
    from jobs.tenants import check_tenant  # noqa: PLC0415

    unknown = [each for each in scope if each not in SCOPES]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r} is no scope; scopes are {', '.join(SCOPES)}")
    with _stores() as (keys, _):
        expires = now() + timedelta(days=days) if days else None
        _show_made(keys.create(check_tenant(tenant), cast("list[Scope]", scope), name=name, expires=expires), as_json)


@app.command("list")
def list_keys(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's keys that are not revoked.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the keys, never their secrets."""
    found: list[KeyRecord] = []
    with _stores() as (keys, _):
        found = keys.of(tenant) if tenant else keys.all()
    if as_json:
        _print({"keys": [_told(record) for record in found]})
        return
    table = Table(Column("id", no_wrap=True), "tenant", "name", "scopes", "created", "expires", "state")
    for record in found:
        state = "revoked" if record.revoked else "good" if record.usable else "expired"
        expires = f"{record.expires:%Y-%m-%d %H:%M}" if record.expires else "never"
        scopes = ", ".join(record.scopes)
        table.add_row(record.id, record.tenant, record.name, scopes, f"{record.created:%Y-%m-%d}", expires, state)
    console.print(table)


@app.command()
def revoke(key: KeyId, as_json: AsJson = False) -> None:
    """End a key for good, within the seconds the service remembers keys."""
    with _stores() as (keys, _):
        revoked = keys.revoke(key)
        if as_json:
            _print(_told(revoked))
        console.print(f"{key} of {revoked.tenant} is revoked", markup=False)


@app.command()
def rotate(
    key: KeyId,
    grace_hours: Annotated[int, typer.Option(min=0, max=168, help="Hours the old key still opens.")] = 24,
    as_json: AsJson = False,
) -> None:
    """Make a key that opens the same, print it, and let the old one expire."""
    with _stores() as (keys, _):
        _show_made(keys.rotate(key, grace=timedelta(hours=grace_hours)), as_json)


@app.command()
def limits(
    tenant: Annotated[str, typer.Argument(help="Whose limits.")],
    *,
    requests_per_minute: Annotated[int | None, typer.Option(min=0, help="0 is no limit, as for all of these.")] = None,
    running_jobs: Annotated[int | None, typer.Option(min=0, help="Jobs without an end.")] = None,
    km2_per_month: Annotated[float | None, typer.Option(min=0, help="Square kilometres mapped in a month.")] = None,
    upload_gib: Annotated[float | None, typer.Option(min=0, help="GiB of all uploads kept.")] = None,
    as_json: AsJson = False,
) -> None:
    """Set some of a tenant's limits, and show all of them."""
    told: dict[str, Any] = {
        "requests_per_minute": requests_per_minute,
        "running_jobs": running_jobs,
        "km2_per_month": km2_per_month,
        "upload_bytes": None if upload_gib is None else int(upload_gib * 1024**3),
    }
    changes = {name: value for name, value in told.items() if value is not None}
    with _stores() as (_, tenants):
        found = tenants.change(tenant, changes) if changes else tenants.limits(tenant)
        if as_json:
            _print({"tenant": tenant, "limits": found.model_dump()})
            return
        table = Table("limit", "value", title=tenant)
        for name, value in found.model_dump().items():
            table.add_row(name, f"{value:,}" if value else "none")
        console.print(table)


@contextmanager
def _stores() -> Iterator[tuple[KeyStore, TenantStore]]:
    """Open keys and tenants by the service's settings; an error of ours ends the command with its sentence."""
    from jobs.keys import KeyStore  # noqa: PLC0415
    from jobs.settings import Settings  # noqa: PLC0415
    from jobs.storage import Storage  # noqa: PLC0415
    from jobs.tenants import TenantStore  # noqa: PLC0415

    settings = Settings()
    storage = Storage(settings)
    try:
        yield KeyStore(storage), TenantStore(storage, settings)
    except CityzonesError as error:
        say_problem({"detail": error.detail})
        raise typer.Exit(FAILED) from error


def _show_made(made: NewKey, as_json: bool) -> None:
    console.print(f"key of {made.record.tenant}, shown this once; send it as Authorization: Bearer", markup=False)
    if as_json:
        _print(_told(made.record) | {"key": made.text})
    else:
        sys.stdout.write(made.text + "\n")


def _told(record: KeyRecord) -> dict[str, Any]:
    return record.model_dump(mode="json", exclude={"sha256"}, exclude_none=True)


def _print(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
