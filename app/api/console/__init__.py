"""The console: pages for people at `/`, static files that use the routes of any client."""
