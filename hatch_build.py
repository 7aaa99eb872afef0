"""Builds the page that participants of experiments see into the package, where METAMERS_BUILD_WEB=1 asks for it."""

import os
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PageHook(BuildHookInterface):
    """A page that is there is used as it is."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page."""
        if os.environ.get("METAMERS_BUILD_WEB") == "1":
            for command in (["npm", "ci"], ["npm", "run", "build"]):
                subprocess.run(command, cwd=Path(self.root) / "web", check=True)
