/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/words.h"

#include <string.h>

char *words_count(int64_t n)
{
    g_autofree char *digits =
        g_strdup_printf("%" G_GINT64_FORMAT, n < 0 ? -n : n);
    GString *text = g_string_new(n < 0 ? "-" : NULL);
    size_t len = strlen(digits);

    for (size_t i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) {
            g_string_append_c(text, ',');
        }
        g_string_append_c(text, digits[i]);
    }
    return g_string_free(text, FALSE);
}

char *words_duration(int64_t us)
{
    if (us < 1000) {
        return g_strdup_printf("%d µs", (int)us);
    }
    if (us < G_USEC_PER_SEC) {
        return g_strdup_printf("%.1f ms", (double)us / 1000);
    }
    return g_strdup_printf("%.2f s", (double)us / G_USEC_PER_SEC);
}

char *words_bytes(int64_t n)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double size = (double)n;
    unsigned unit = 0;

    if (n < 1024) {
        return g_strdup_printf("%d bytes", (int)n);
    }
    for (size /= 1024; size >= 1024 && unit < G_N_ELEMENTS(units) - 1;
         size /= 1024) {
        unit++;
    }
    return g_strdup_printf("%.1f %s", size, units[unit]);
}

static char *words_time(int64_t us, const char *format)
{
    g_autoptr(GDateTime) at = g_date_time_new_from_unix_local(us / 1000000);

    return us > 0 && at ? g_date_time_format(at, format) : g_strdup("–");
}

char *words_clock(int64_t us)
{
    g_autofree char *seconds = words_time(us, "%H:%M:%S");

    return us > 0 ? g_strdup_printf("%s.%06d", seconds, (int)(us % 1000000))
                  : g_steal_pointer(&seconds);
}

char *words_date(int64_t us)
{
    return words_time(us, "%Y-%m-%d %H:%M:%S %Z");
}
