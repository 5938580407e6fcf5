/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/error.h"

#include <errno.h>

#include <stdarg.h>
#include <stdbool.h>

G_DEFINE_QUARK(tapferry - error, tf_error)

const char *tf_error_class(const GError *error)
{
    if (error->domain != TF_ERROR) {
        return "GenericError";
    }
    switch ((TfError)error->code) {
    case TF_ERROR_COMMAND_NOT_FOUND:
        return "CommandNotFound";
    case TF_ERROR_DEVICE_NOT_ACTIVE:
        return "DeviceNotActive";
    case TF_ERROR_DEVICE_NOT_FOUND:
        return "DeviceNotFound";
    case TF_ERROR_GENERIC:
        break;
    }
    return "GenericError";
}

bool tf_error_set(GError **errp, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    if (errp) {
        *errp = g_error_new_valist(TF_ERROR, TF_ERROR_GENERIC, format, ap);
    }
    va_end(ap);
    return false;
}

/* What to do about it, where the system's words do not tell. */
static const char *error_advice(int errnum)
{
    switch (errnum) {
    case EMFILE:
        return "; raise the hard limit (ulimit -Hn, LimitNOFILE=) of tapferryd";
    case ENXIO:
        return "; if it is a FIFO, somebody has to read it first";
    default:
        return "";
    }
}

bool tf_error_set_errno(GError **errp, int errnum, const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list ap;

    va_start(ap, format);
    message = g_strdup_vprintf(format, ap);
    va_end(ap);
    return tf_error_set(errp, "%s: %s%s", message, g_strerror(errnum),
                        error_advice(errnum));
}
