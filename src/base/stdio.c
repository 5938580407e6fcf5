/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/stdio.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

void stdio_reserve(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDONLY);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) {
        close(fd);
    }
}

bool stdio_flush(void)
{
    /* What did not fit into the buffer may have been lost before. */
    return fflush(stdout) == 0 && !ferror(stdout);
}
