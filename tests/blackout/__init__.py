# SPDX-License-Identifier: BSD-2-Clause
"""The switchover laboratory: a scripted VMM, a scripted network that knows
every frame it ever sent, faults drawn from a seed, and a checker.  See
README.md."""
