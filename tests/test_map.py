"""docs/map.md lists exactly the rooms that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_map_lists_exactly_the_rooms() -> None:
    rows = re.findall(r"^\| (`.+?) \|", (ROOT / "docs/map.md").read_text("utf-8"), re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`([\w./]+)`", row)}
    package = ROOT / "src/fedguide"
    rooms = {p.name for p in package.glob("*.py")} - {"__init__.py"}
    rooms |= {f"{p.name}/" for p in package.iterdir() if (p / "__init__.py").is_file()}
    assert listed == rooms
