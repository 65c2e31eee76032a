"""Run models over data sets: one row of figures for each pair, and means over them.

Errors are measured as the benchmarks do (:mod:`variflow.metrics`). A flow with gaps is filled first, as KITTI fills it
(:func:`variflow.metrics.complete`), and its density is noted.

>>> import numpy as np
>>> from variflow.datasets import synthetic
>>> pair = synthetic.translation((32, 48), shift=(1.0, 0.0))
>>> figures = measure(pair.flow + np.float32([0.0, 0.5]), pair)
>>> figures["epe"], figures["fl"], figures["density"]
(0.5, 0.0, 100.0)
"""

from variflow.evaluation.measuring import REGIONS, measure, regions
from variflow.evaluation.running import evaluate
from variflow.evaluation.table import COLUMNS, Table

__all__ = ["COLUMNS", "REGIONS", "Table", "evaluate", "measure", "regions"]


def __dir__() -> list[str]:
    return sorted(__all__)
