"""The short way of a small JSON prediction from the socket to its answer, without ASGI; one flag turns it off."""
