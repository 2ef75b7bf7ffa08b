"""MkDocs hook: the pages are files of the repository at the same paths, so links work."""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

TOP = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Put `docs/` below `/docs`, beside the files of the top folder, of which the README is the first page."""
    top = Path(config.docs_dir).parent
    own = [file for file in files if file.src_dir == config.docs_dir]
    paths = (*TOP, *(f"docs/{file.src_uri}" for file in own))
    placed = [File(path, str(top), config.site_dir, config.use_directory_urls) for path in paths]
    return Files([*(file for file in files if file not in own), *placed])
