# SPDX-License-Identifier: BSD-2-Clause
"""How many instructions the main loops take, as a figure to compare."""
