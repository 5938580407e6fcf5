/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Errors of the control plane.
 *
 * A function that can fail returns false (or NULL) and sets *errp; the code is
 * the QMP error class that a client sees, the message one phrase that says
 * what to do, with names in single quotes, no newline and no full stop.
 * The data path never makes a GError: it returns verdicts and counts.
 */
#ifndef TF_BASE_ERROR_H
#define TF_BASE_ERROR_H

#include <stdbool.h>

#include <glib.h>

#define TF_ERROR (tf_error_quark())

/* QMP error classes (QEMU docs/interop/qmp-spec). */
typedef enum TfError {
    TF_ERROR_GENERIC,
    TF_ERROR_COMMAND_NOT_FOUND,
    TF_ERROR_DEVICE_NOT_ACTIVE,
    TF_ERROR_DEVICE_NOT_FOUND,
} TfError;

GQuark tf_error_quark(void);

/* The QMP name of an error's class; "GenericError" for foreign domains. */
const char *tf_error_class(const GError *error);

/* Sets a GenericError. Always returns false, so that callers can return it. */
bool tf_error_set(GError **errp, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Sets a GenericError that ends in ": " and the text of @errnum (> 0). */
bool tf_error_set_errno(GError **errp, int errnum, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

#endif
