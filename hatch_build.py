"""Metadata of the package that depends on where it is published, for hatchling.

With LUCID_REPOSITORY=https://HOST/OWNER/NAME, which the release workflow sets, the package gets project URLs, and the
links and pictures of its README become absolute: the package page has no files beside it. Other builds have neither.
"""

import os
import re
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class MetadataHook(MetadataHookInterface):
    def update(self, metadata: dict[str, Any]) -> None:
        with open(os.path.join(self.root, "README.md"), encoding="utf-8") as file:
            text = file.read()
        repository = os.environ.get("LUCID_REPOSITORY", "").rstrip("/")
        if repository:
            text = absolute_links(text, repository, f"v{metadata['version']}")
            metadata["urls"] = {
                "Source": repository,
                "Documentation": f"{repository}/tree/v{metadata['version']}/docs",
                "Changelog": f"{repository}/blob/v{metadata['version']}/CHANGELOG.md",
                "Issues": f"{repository}/issues",
            }
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def absolute_links(text: str, repository: str, tag: str) -> str:
    """``text`` in Markdown with relative links to files of ``repository`` at ``tag``."""

    def absolute(match: re.Match[str]) -> str:
        picture, label, target = match.groups()
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        return f"{picture}[{label}]({repository}/{'raw' if picture else 'blob'}/{tag}/{target})"

    return re.sub(r"(!?)\[([^\]]*)\]\(([^)]+)\)", absolute, text)
