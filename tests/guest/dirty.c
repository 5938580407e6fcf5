// SPDX-License-Identifier: BSD-2-Clause
//
// dirty MB PAUSE: write to every page of MB megabytes, sleep PAUSE
// microseconds, for ever.  Keeps a live migration from ending too soon.
// Runs inside the test guest, linked statically.

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096 };

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: dirty MB PAUSE\n");
        return 1;
    }
    size_t bytes = strtoul(argv[1], NULL, 10) << 20;
    useconds_t pause_us = strtoul(argv[2], NULL, 10);
    volatile char *memory = malloc(bytes);

    if (!memory) {
        fprintf(stderr, "dirty: out of memory\n");
        return 1;
    }
    for (char value = 0;; value++) {
        for (size_t at = 0; at < bytes; at += PAGE_BYTES) {
            memory[at] = value;
        }
        usleep(pause_us);
    }
}
