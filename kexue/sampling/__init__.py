"""Monte Carlo that can be believed: counter-based streams, mergeable statistics, anytime-valid verdicts.

The draws of chunk i depend on (experiment, seed, i) only and statistics are merged in the order of the chunks, so
that a result has the same bytes for any number of workers, any scheduler and any restart. A verdict is reached by
e-processes, which stay valid at every stopping time: looking at the data as often as one likes costs nothing. """

from kexue.sampling.experiment import Chunk, Experiment, experiment
from kexue.sampling.run import Outcome, map_chunks, run
from kexue.sampling.sequential import (
    ALPHA,
    BETA,
    DirichletMultinomial,
    EmpiricalBernstein,
    LikelihoodRatio,
    clopper_pearson,
    required_n,
)  # fmt: skip
from kexue.sampling.statistics import Moments

__all__ = [
    "ALPHA", "BETA", "Chunk", "DirichletMultinomial", "EmpiricalBernstein", "Experiment", "LikelihoodRatio", "Moments",
    "Outcome", "clopper_pearson", "experiment", "map_chunks", "required_n", "run",
]  # fmt: skip
