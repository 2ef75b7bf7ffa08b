"""Model cards: what is known about a version, as HTML, Markdown and CycloneDX."""
