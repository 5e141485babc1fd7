"""What the core says of itself."""

import json
from pathlib import Path
from typing import Any

PAGE: dict[str, Any] = json.loads((Path(__file__).parents[2] / "core" / "schema.json").read_text(encoding="utf-8"))
