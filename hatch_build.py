"""The package's description: README.md without its links into the repository, which lead nowhere on a package index."""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

PICTURE = re.compile(r"!\[[^\]]*\]\((?!https?:)[^)]*\)\n\n?")
LINK = re.compile(r"\[([^\]]*)\]\((?!https?:)[^)]*\)")


def without_local_links(markdown: str) -> str:
    """A Markdown text without its local pictures, and with the bare text of its local links."""
    return LINK.sub(r"\1", PICTURE.sub("", markdown))


class Description(MetadataHookInterface):
    def update(self, metadata: dict[str, Any]) -> None:
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": without_local_links(text)}
