# SPDX-License-Identifier: BSD-2-Clause
"""Where the laboratory's own modules and those it shares are."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
