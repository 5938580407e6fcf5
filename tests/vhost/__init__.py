# SPDX-License-Identifier: BSD-2-Clause
"""Live migrations with the kernel's real vhost-net, in a nested machine.

``check.py`` runs them; ``README.md`` explains the nesting.
"""
