"""Digests of samples, which tell whether a row was measured from the same files."""

from __future__ import annotations

import dataclasses

from variflow.base.digests import digest_settings
from variflow.datasets import Sample


def digest_sample(sample: Sample) -> str:
    """Return a digest of everything in a sample except its name."""
    fields = [field.name for field in dataclasses.fields(sample) if field.name != "name"]
    return digest_settings([getattr(sample, field) for field in fields])
