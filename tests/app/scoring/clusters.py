"""Score a file on a Ray cluster of two nodes, one of which is killed.

`python -m tests.app.scoring.clusters FOLDER`: the folder has the models and `rows.parquet`.
Printed is the record of the run.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from ray.cluster_utils import Cluster

from app.scoring import run
from modelstore import ModelRepository
from tests.app.scoring.samples import wanted

NODE = {"num_cpus": 2, "object_store_memory": 80 << 20, "include_dashboard": False}


def main(folder: Path) -> None:
    """Score, and kill the second node once a part has come back."""
    cluster: Any = Cluster(initialize_head=True, head_node_args=NODE)
    second = cluster.add_node(**NODE)
    cluster.wait_for_nodes()
    killed: list[object] = []

    def kill(progress: run.Progress) -> None:
        """Kill the second node, once."""
        if progress.parts == 3 and not killed:
            killed.append(second)
            cluster.remove_node(second, allow_graceful=False)

    asked = wanted(ModelRepository(folder / "models"), folder / "rows.parquet", folder / "ray.parquet", workers=3)
    record = run.score(dataclasses.replace(asked, ray=cluster.address), kill)
    sys.stdout.write(json.dumps({"killed": len(killed), "record": record}) + "\n")
    cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
