"""Estimate the flows of many pairs of files, on one machine or many, and lose nothing when a process dies.

A pair is done when its flow and its record are there. The record has digests of both frames, of the model and of the
flow; so the same call goes on where another has stopped, and does again what has changed. Flows of another model, or of
other frames, stay.

>>> import tempfile
>>> import variflow
>>> from variflow.datasets import synthetic
>>> folder = tempfile.mkdtemp()
>>> for time in range(3):
...     pair = synthetic.translation((32, 48), shift=(0.5 * time, 0.0))
...     variflow.write_image(f"{folder}/frame{time}.png", pair.frame1)
>>> summary = estimate_pairs(list_pairs(folder), f"{folder}/flows", "brox")
>>> print(summary)
2 of 2 pairs have a flow, 0 of them from before
>>> variflow.read_flow(f"{folder}/flows/frame0.flo").shape
(32, 48, 2)
"""

from variflow.batching.listing import list_pairs
from variflow.batching.pairs import estimate_pair
from variflow.batching.records import Record
from variflow.batching.running import estimate_pairs
from variflow.batching.tasks import Failure, Summary

__all__ = ["Failure", "Record", "Summary", "estimate_pair", "estimate_pairs", "list_pairs"]


def __dir__() -> list[str]:
    return sorted(__all__)
