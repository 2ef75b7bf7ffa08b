"""HTTP: routes, bodies, errors, the OpenAPI document; it must not know sockets or torch."""
