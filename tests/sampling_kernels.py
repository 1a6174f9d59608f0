"""Kernels for the tests of the sampling engine; at module level, so that other processes can find them."""

from __future__ import annotations

import os
import time

import numpy as np

from kexue.sampling import Moments, experiment
from kexue.sampling.philox import uniforms


@experiment(chunk=1000, name="test/coin")
def coin(chunk, count, p=0.25):
    return int((chunk.generator().random(count) < p).sum())


@experiment(chunk=1000, name="test/slow-coin")
def slow_coin(chunk, count, p=0.25, pause=0.01):
    time.sleep(pause)
    return int((chunk.generator().random(count) < p).sum())


@experiment("mean", chunk=1000, name="test/mean")
def square(chunk, count):
    return Moments.of(chunk.generator().random(count) ** 2)


@experiment("law", chunk=1000, name="test/die")
def die(chunk, count, loaded=0):
    values = chunk.generator().integers(0, 6 + loaded, count)
    return np.bincount(np.minimum(values, 5), minlength=6)


@experiment(chunk=4096, name="test/bit")
def bit(chunk, count, number=0, stuck=-1):
    """Whether bit `number` of a 32-bit word is set; a deliberately broken generator has bit `stuck` always set."""
    words = (uniforms(chunk.key, chunk.start, count, 1)[:, 0] * 2**32).astype(np.uint64)
    if stuck >= 0:
        words |= np.uint64(1 << stuck)
    return int(((words >> np.uint64(number)) & np.uint64(1)).sum())


@experiment(chunk=4096, name="test/serial-pair")
def serial_pair(chunk, count, lag=0.0):
    """Both of two successive uniforms are below 1/2; with a lag, the second depends on the first."""
    u = uniforms(chunk.key, chunk.start, count, 2)
    second = np.where(u[:, 1] >= 1 - lag, u[:, 0], u[:, 1])
    return int(((u[:, 0] < 0.5) & (second < 0.5)).sum())


@experiment(chunk=10, name="test/wrong")
def wrong(chunk, count, what="float"):
    return {"float": 0.5, "many": count + 1, "negative": -1, "text": "x"}[what]


@experiment(chunk=1000, name="test/suicide")
def suicide(chunk, count, marker=""):
    """Kills its process once, the first time that chunk 5 is computed."""
    if chunk.index == 5 and not os.path.exists(marker):
        open(marker, "w").close()
        os.kill(os.getpid(), 9)
    return int((chunk.generator().random(count) < 0.25).sum())
