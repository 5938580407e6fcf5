/* SPDX-License-Identifier: BSD-2-Clause */
/* From the options of a side to the daemon's command line. */
#include "cli/side.h"

#include <string.h>

void side_add(GPtrArray *args, const char *option, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    g_ptr_array_add(args, g_strdup(option));
    g_ptr_array_add(args, g_strdup_vprintf(format, ap));
    va_end(ap);
}

char *side_quote(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);

    return g_strjoinv(",,", parts);
}

char *side_parse_address(const char *text, bool any, GError **errp)
{
    const char *colon = strrchr(text, ':');
    g_autofree char *host =
        colon ? g_strndup(text, (gsize)(colon - text)) : NULL;
    g_autofree char *quoted = NULL;
    guint64 port;
    size_t len;

    if (!colon ||
        !g_ascii_string_to_unsigned(colon + 1, 10, 1, 65535, &port, NULL) ||
        (!*host && !any)) {
        g_set_error(errp, CLIENT_ERROR, CLIENT_FAILED,
                    "'%s' is no address: give %s, PORT being 1 to 65535", text,
                    any ? "[HOST]:PORT" : "HOST:PORT");
        return NULL;
    }
    len = strlen(host);
    if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
        memmove(host, host + 1, len - 2); /* an IPv6 address */
        host[len - 2] = '\0';
    }
    quoted = side_quote(*host && strcmp(host, "[]") != 0 ? host : "");
    return *quoted ? g_strdup_printf("host=%s,port=%u", quoted, (guint)port)
                   : g_strdup_printf("host=0.0.0.0,port=%u", (guint)port);
}

const char *side_add_tls(GPtrArray *args, const SideOptions *options,
                         const char *endpoint)
{
    g_autofree char *dir = NULL;

    if (!options->tls_dir) {
        return "";
    }
    dir = side_quote(options->tls_dir);
    side_add(args, "-object", "tls-creds-x509,id=tls0,endpoint=%s,dir=%s",
             endpoint, dir);
    return ",tls-creds=tls0";
}

char *side_more_properties(const SideOptions *options)
{
    GString *text = g_string_new(NULL);

    for (char **each = options->properties; each && *each; each++) {
        g_string_append_printf(text, ",%s", *each);
    }
    return g_string_free(text, FALSE);
}
