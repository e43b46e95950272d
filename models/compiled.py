"""Typed names for numba's decorators, so that compiled functions keep their signatures for the type checker."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Compile a function on its first call and keep the machine code beside the source."""
    return cast("Function", njit(cache=True)(function))


def compiled_in_parallel(function: Function) -> Function:
    """Compile a function whose `prange` loops run on all threads."""
    return cast("Function", njit(cache=True, parallel=True)(function))


def compiled_for_threads(function: Function) -> Function:
    """Compile a function that lets go of the interpreter's lock: threads may run it side by side."""
    return cast("Function", njit(cache=True, nogil=True)(function))
