#!/bin/sh
# Starts a program of the worker's image with the machine code that the image was built with, so that the first job
# compiles nothing. Told nothing else, it is code for any x86-64 processor with AVX2 (level 3, from 2013 on) or any
# ARM of 64 bits; on others numba compiles for the processor it finds.
set -eu
case "$(uname -m)" in
    x86_64) if grep -qw avx2 /proc/cpuinfo; then level=x86-64-v3; fi ;;
    aarch64) level=generic ;;
esac
if [ -n "${level:-}" ] && [ -z "${NUMBA_CPU_NAME:-}" ]; then
    export NUMBA_CPU_NAME="$level" NUMBA_CPU_FEATURES=
fi
kernels="${NUMBA_CACHE_SOURCE:-/opt/kernels}"
if [ -d "$kernels" ] && [ ! -e "$NUMBA_CACHE_DIR" ]; then
    cp -r "$kernels" "$NUMBA_CACHE_DIR"
fi
exec "$@"
