# SPDX-License-Identifier: BSD-2-Clause
"""What can go wrong in the laboratory itself.

None of these is a packet loss: a run that raises one of them measured
nothing, and says nothing about tapferry's losses.
"""


class LabError(Exception):
    """The run could not be carried out."""


class Unavailable(LabError):
    """This machine has not got what a run needs."""


class GuestError(LabError):
    """A guest did not boot, or died."""


class MigrationError(LabError):
    """The migration itself failed."""


class DaemonError(LabError):
    """A tapferryd did not start, or died."""
