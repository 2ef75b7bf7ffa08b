"""`python -m modelstore schema`: print the JSON schema of `manifest.json`."""

from __future__ import annotations

import argparse
import json
import sys

from modelstore.manifest import Manifest


def manifest_schema() -> str:
    """Return the content of `docs/manifest.schema.json`."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(dialect | Manifest.model_json_schema(), indent=2) + "\n"


def main() -> None:
    """Parse the command line and print the requested document."""
    parser = argparse.ArgumentParser(prog="python -m modelstore", description="The contract, for other programs.")
    parser.add_argument("what", choices=["schema"], help="schema: of manifest.json; see docs/artifact-format.md")
    parser.parse_args()
    sys.stdout.write(manifest_schema())


if __name__ == "__main__":
    main()
