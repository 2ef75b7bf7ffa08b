"""`python -m app.server.healthcheck`: exit 0 if the local service is ready.

For containers, whose image lacks curl.
"""

from __future__ import annotations

import http.client
import os
import sys
import urllib.error
import urllib.request

from app.server.listener import url

TIMEOUT_S = 3.0
_ALL = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what listens on all addresses is asked on this machine's


def main() -> int:
    """Request /readyz and return the exit code."""
    host = os.environ.get("TABSERVE_HOST", "127.0.0.1").strip("[]")
    address = url(_ALL.get(host, host), os.environ.get("TABSERVE_PORT", "8000")) + "/readyz"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # HTTP_PROXY is for other hosts
    try:
        with direct.open(address, timeout=TIMEOUT_S):
            return 0
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        print(f"not ready: {error}", file=sys.stderr)  # noqa: T201 - docker inspect shows it
        return 1


if __name__ == "__main__":
    sys.exit(main())
