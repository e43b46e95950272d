"""OpenStack Swift with its S3 interface in one process: three storage servers and a proxy, as green threads.

Run as `python -P swift_app.py <folder> <access key> <secret key> <region>`. Once it answers, the S3 port is in
`<folder>/port`. Found on the way:

- No daemon, memcached or root is needed: rings are built in place, listings are updated while the upload waits.
- Data files carry their metadata in extended attributes, so the folder must allow `user.*` attributes (ext4, xfs,
  btrfs and overlayfs do; tmpfs does since Linux 6.6).
- Versioning would ask for the symlink filter; nothing here needs either.
"""

from __future__ import annotations

import eventlet

eventlet.monkey_patch()

import os  # noqa: E402 - everything after the patch, or sockets block each other
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

from eventlet import wsgi  # noqa: E402
from swift.common import storage_policy, utils  # noqa: E402

PIPELINE = "catch_errors gatekeeper healthcheck listing_formats s3api tempauth bulk copy slo dlo"
PLAIN = ("catch_errors", "gatekeeper", "healthcheck", "listing_formats", "bulk", "copy", "slo", "dlo")


def write_configuration(folder: Path, access_key: str, secret_key: str, region: str) -> Path:
    """Write swift.conf (the hash salt) and the proxy's pipeline, and return the latter."""
    (folder / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = tests\n")
    account, user = access_key.split(":")
    sections = [
        f"[DEFAULT]\nswift_dir = {folder}\nlog_level = ERROR\n",
        f"[pipeline:main]\npipeline = {PIPELINE} proxy-server\n",
        "[app:proxy-server]\nuse = egg:swift#proxy\nallow_account_management = true\naccount_autocreate = true\n",
        f"[filter:s3api]\nuse = egg:swift#s3api\nlocation = {region}\n",
        f"[filter:tempauth]\nuse = egg:swift#tempauth\nuser_{account}_{user} = {secret_key} .admin\n",
        *(f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in PLAIN),
    ]
    path = folder / "proxy.conf"
    path.write_text("\n".join(sections))
    return path


def build_ring(folder: Path, name: str, port: int) -> None:
    """Write a ring of one device."""
    from swift.common.ring import RingBuilder  # noqa: PLC0415 - reads swift.conf when imported

    builder = RingBuilder(2, 1, 0)
    builder.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "disk", "weight": 1.0})
    builder.rebalance()
    builder.get_ring().save(str(folder / f"{name}.ring.gz"))


def main(folder: Path, access_key: str, secret_key: str, region: str) -> None:
    """Serve until ended."""
    (folder / "devices" / "disk").mkdir(parents=True, exist_ok=True)
    os.setxattr(folder, "user.cityzones", b"1")  # fails here, with a clear word, and not at the first upload
    proxy_file = write_configuration(folder, access_key, secret_key, region)
    utils.set_swift_dir(str(folder))
    storage_policy.reload_storage_policies()
    from swift.account.server import AccountController  # noqa: PLC0415 - as above
    from swift.common.wsgi import SwiftHttpProtocol, loadapp  # noqa: PLC0415
    from swift.container.server import ContainerController  # noqa: PLC0415
    from swift.obj.server import ObjectController  # noqa: PLC0415

    told = {
        "swift_dir": str(folder),
        "devices": str(folder / "devices"),
        "mount_check": "false",
        "disable_fallocate": "true",
        "log_level": "ERROR",
    }
    # Every server listens before the first ring names it, so no port is taken twice.
    listening = {name: eventlet.listen(("127.0.0.1", 0)) for name in ("account", "container", "object", "proxy")}
    for name in ("account", "container", "object"):
        build_ring(folder, name, listening[name].getsockname()[1])
    apps = {
        "account": AccountController(told),
        "container": ContainerController(told),
        "object": ObjectController(told),
        "proxy": loadapp(str(proxy_file)),
    }
    with Path(os.devnull).open("w") as silence:
        threads = [
            eventlet.spawn(wsgi.server, sock, apps[name], silence, protocol=SwiftHttpProtocol, debug=False)
            for name, sock in listening.items()
        ]
        scratch = folder / "port.new"
        scratch.write_text(str(listening["proxy"].getsockname()[1]))
        scratch.replace(folder / "port")
        for thread in threads:
            thread.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:5])
