"""Print the table of ranges in docs/settings.md, from the declaration of the settings.

python scripts/settings_table.py
"""

from __future__ import annotations

import sys
from typing import Any

from greenroom.settings import Settings


def ranges_table(kind: type[Settings] = Settings) -> str:
    """Return a Markdown table of all settings that are numbers, with their ranges."""
    rows = ["| setting | least | most |", "|---|---:|---:|"]
    for name, declared in kind.model_json_schema()["properties"].items():
        kinds: list[dict[str, Any]] = declared.get("anyOf", [declared])
        rows += [
            f"| `{name}` | {one['minimum']:g} | {one['maximum']:.9g} |"
            for one in kinds
            if one.get("type") in {"number", "integer"}
        ]
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(ranges_table())
