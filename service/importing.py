"""Imports of what only some requests need, and the first of them brings: one thread at a time.

Packages that import their own parts in circles are seen half done by a second thread that asks for them meanwhile: web
pages ask for a dozen tiles at once, and of the first ones of a process some were answered by errors.
"""

from __future__ import annotations

from threading import RLock
from typing import Final

ONE_AT_A_TIME: Final = RLock()
