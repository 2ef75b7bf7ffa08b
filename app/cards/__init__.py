"""Model cards as HTML, Markdown and CycloneDX; they must not know the service."""
