"""Are the flows of the named models the same, to the last bit, before and after a change?

    python benchmarks/same_flows.py --write before.json         before the change
    python benchmarks/same_flows.py --check before.json         after it: names every flow that differs

Both must run on the same machine: another processor rounds differently. Looked for in the data folder are the data sets
of `samples.py`.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

import peers
import samples

import variflow
from variflow import models


def digests(data, names):
    """Return {"model, data set, pair": the digest of its flow}."""
    found = {}
    for dataset, pairs in samples.samples(data):
        for pair in pairs:
            for name in names:
                peers.progress(f"{dataset} {pair.name}: {name}")
                flow = variflow.estimate(pair.frame0, pair.frame1, name).flow
                found[f"{name}, {dataset}, {pair.name}"] = hashlib.sha256(flow.tobytes()).hexdigest()[:16]
    peers.progress()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--models", nargs="+", default=list(models.names()))
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", type=Path, metavar="FILE")
    what.add_argument("--check", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    found = digests(arguments.data, arguments.models)
    if arguments.write:
        arguments.write.write_text(json.dumps(found, indent=1))
        print(f"{len(found)} flows written down in {arguments.write}")
        return
    before = json.loads(arguments.check.read_text())
    differ = [key for key in found if before.get(key) != found[key]]
    for key in differ:
        print(f"differs: {key}")
    print(f"{len(found) - len(differ)} of {len(found)} flows are the same")
    sys.exit(bool(differ))


if __name__ == "__main__":
    main()
