# SPDX-License-Identifier: BSD-2-Clause
"""Some hundred blackouts, a few at a time; each is one test.  What repeats a
failed one is in its message.

One that fails is run again some times, alone: if it never fails again a warning
tells.  That is a race which none of some hundred others met; `make soak` and
the command line count it as failed.

BLACKOUTS=N sets how many, BLACKOUT_SEED=N where they begin.
"""

import concurrent.futures
import multiprocessing
import os
import warnings
from typing import Dict, Iterator

import pytest

from lib.site import sweep_left_overs

from .__main__ import command
from .check import Verdict
from .faults import KNOWN
from .run import blackout
from .scenario import Scenario, draw

COUNT = int(os.environ.get("BLACKOUTS", "300"))
FIRST = int(os.environ.get("BLACKOUT_SEED", "1"))
AT_ONCE = 3  # they wait more than they work
AGAIN = 5

Pending = Dict[int, "concurrent.futures.Future[Verdict]"]


def _run(scenario: Scenario) -> Verdict:
    return blackout(scenario)


@pytest.fixture(scope="module", name="verdicts")
def fixture_verdicts(request: pytest.FixtureRequest) -> Iterator[Pending]:
    """The blackouts that are asked for run ahead of their tests."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    sweep_left_overs()
    seeds = [item.callspec.params["seed"] for item in request.session.items
             if "verdicts" in getattr(item, "fixturenames", ())]
    with concurrent.futures.ProcessPoolExecutor(
            AT_ONCE, multiprocessing.get_context("fork")) as pool:
        yield {seed: pool.submit(_run, draw(seed)) for seed in seeds}
        pool.shutdown(cancel_futures=True)


def _reasons(verdict: Verdict) -> str:
    print(verdict.scenario, verdict.trace, verdict.output, sep="\n")
    return "\n".join([*verdict.reasons,
                      "repeat: " + command(verdict.scenario)])


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_blackout(verdicts: Pending, seed: int) -> None:
    """Nothing is lost, nothing comes twice, and the books say so."""
    verdict = verdicts[seed].result()
    if verdict.passed:
        return
    first = _reasons(verdict)
    for _ in range(AGAIN):
        again = blackout(verdict.scenario)
        assert again.passed, f"{first}\nand again:\n{_reasons(again)}"
    warnings.warn(f"a blackout failed once in {AGAIN + 1} times:\n{first}")


@pytest.mark.parametrize("fault", sorted(KNOWN))
def test_fault_is_drawn(fault: str) -> None:
    """Every fault that may happen does in some of some hundred blackouts."""
    assert any(draw(seed).has(fault) for seed in range(1, 301))
