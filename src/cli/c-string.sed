# SPDX-License-Identifier: BSD-2-Clause
# A text as a C string, line by line.
s/\\/\\\\/g
s/"/\\"/g
s/.*/"&\\n"/
