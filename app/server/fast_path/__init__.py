"""The fast path for small JSON predictions: from the socket to the response, without ASGI."""
