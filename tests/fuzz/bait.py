"""What a file could lead the service to: other files and a server. Both tell whether anybody went there."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from pathlib import Path

_OPENED, _MADE = 0x20, 0x100  # IN_OPEN, IN_CREATE
_EVENT = struct.Struct("iIII")


class Bait:
    """A folder of good files that nothing may open, and a port of loopback that nothing may reach."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._inotify = ctypes.CDLL(None, use_errno=True).inotify_init1(os.O_NONBLOCK)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listener.setblocking(False)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/image.tif"

    def watch(self) -> None:
        """Begin to listen; what was opened before is not told."""
        added = ctypes.CDLL(None).inotify_add_watch(self._inotify, os.fsencode(self.folder), _OPENED | _MADE)
        assert added >= 0
        assert not self.taken()

    def taken(self) -> list[str]:
        """Return which files were opened or made since the last call, and `network` where somebody connected."""
        return [*self._files(), *self._connections()]

    def close(self) -> None:
        os.close(self._inotify)
        self._listener.close()

    def _files(self) -> list[str]:
        try:
            data = os.read(self._inotify, 65536)
        except BlockingIOError:
            return []
        names, at = [], 0
        while at < len(data):
            *_, length = _EVENT.unpack_from(data, at)
            names.append(data[at + _EVENT.size : at + _EVENT.size + length].rstrip(b"\0").decode() or ".")
            at += _EVENT.size + length
        return names

    def _connections(self) -> list[str]:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return []
        connection.close()
        return ["network"]
