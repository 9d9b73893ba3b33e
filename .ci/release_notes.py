"""Print the section of CHANGELOG.md for a version, as notes of its release: python .ci/release_notes.py 0.1.0

Exits with 1 if the version differs from that of the package, or the changelog has no section for it.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def section(changelog: str, version: str) -> str:
    """The text below the heading of ``version``, empty if there is none."""
    found = re.search(
        rf"^## \[?v?{re.escape(version)}(?![\w.])[^\n]*\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL
    )
    return found[1].strip() if found else ""


def main() -> int:
    version = sys.argv[1].removeprefix("v")
    packaged = re.search(r'"(.+)"', (ROOT / "lucid" / "_version.py").read_text(encoding="utf-8"))
    if packaged is None or packaged[1] != version:
        print(f"the tag is for {version}, lucid/_version.py says {packaged and packaged[1]}", file=sys.stderr)
        return 1
    notes = section((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version)
    if not notes:
        print(f"CHANGELOG.md has no section for {version}", file=sys.stderr)
        return 1
    print(notes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
