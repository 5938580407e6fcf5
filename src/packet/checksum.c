/* SPDX-License-Identifier: BSD-2-Clause */
#include "packet/checksum.h"

#include <string.h>

uint64_t checksum_add(uint64_t sum, const void *data, size_t len)
{
    const uint8_t *bytes = data;

    /* Words of any width that is a multiple of 16 bits do: 2^16 is 1 in this
     * arithmetic. 64 bits have room for the carries of 2^32 words. */
    for (; len >= 4; len -= 4, bytes += 4) {
        uint32_t word;

        memcpy(&word, bytes, sizeof(word));
        sum += word;
    }
    if (len > 0) {
        uint8_t rest[4] = {0};
        uint32_t word;

        memcpy(rest, bytes, len);
        memcpy(&word, rest, sizeof(word));
        sum += word;
    }
    return sum;
}

void checksum_store(uint64_t sum, void *field)
{
    uint16_t result;

    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    result = (uint16_t)~sum;
    if (result == 0) {
        result = 0xffff;
    }
    memcpy(field, &result, sizeof(result));
}
