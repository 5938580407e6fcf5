# SPDX-License-Identifier: BSD-2-Clause
"""What all integration tests share.  They need root: each host is a
network namespace of its own."""

import os
import sys
from pathlib import Path
from typing import Iterator

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# pylint: disable=wrong-import-position
from lib.site import Site, sweep_left_overs  # noqa: E402


@pytest.fixture(scope="session", name="_swept")
def fixture_swept() -> None:
    """What killed runs left behind is gone."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    sweep_left_overs()


@pytest.fixture(name="site")
def fixture_site(_swept: None) -> Iterator[Site]:
    """The world of one test; the daemons in it must end cleanly."""
    with Site() as site:
        yield site
