"""HTTP: routes, bodies, errors and the OpenAPI document; computes no prediction and opens no file."""
