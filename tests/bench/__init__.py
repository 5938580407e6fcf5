# SPDX-License-Identifier: BSD-2-Clause
"""What tapferry costs and how fast it is, beside its peers in the same run."""
