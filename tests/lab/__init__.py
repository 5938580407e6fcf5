# SPDX-License-Identifier: BSD-2-Clause
"""A laboratory for live migrations: real QEMU guests between two network
namespaces, a counted stream of packets, with and without tapferry.

Standard library only.  ``README.md`` says how to run one by hand.
"""
