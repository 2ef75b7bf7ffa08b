"""What the service did: metrics, drift, traces and logs; knows no model and no request."""
