"""The HTTP API: routes, request bodies, errors and the OpenAPI document.

It computes no prediction and opens no file.
"""
