"""A process that publishes on command: `python -m tests.modelstore.publisher ROOT COUNT`.

It writes `ready`, waits for a line, publishes, and writes the numbers it was given.
"""

from __future__ import annotations

import sys
from pathlib import Path

from modelstore import ModelRepository
from tests.modelstore.samples import publish_sample

if __name__ == "__main__":
    repository = ModelRepository(Path(sys.argv[1]))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for _ in range(int(sys.argv[2])):
        sys.stdout.write(f"{publish_sample(repository)}\n")
