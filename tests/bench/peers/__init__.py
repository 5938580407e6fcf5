# SPDX-License-Identifier: BSD-2-Clause
"""Everybody who can carry frames along the path, one file each."""
