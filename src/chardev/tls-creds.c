/* SPDX-License-Identifier: BSD-2-Clause */
#include "chardev/tls-creds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

/* The default of the property "priority". */
#define TLS_PRIORITY "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

static const char *const tls_endpoints[] = {"client", "server", NULL};

bool tls_error_set(GError **errp, int code, const char *format, ...)
{
    g_autofree char *what = NULL;
    va_list ap;

    va_start(ap, format);
    what = g_strdup_vprintf(format, ap);
    va_end(ap);
    return tf_error_set(errp, "%s: %s", what, gnutls_strerror(code));
}

char *tls_creds_path(const TlsCreds *self, const char *name, bool required,
                     GError **errp)
{
    g_autofree char *path = g_strdup_printf("%s/%s", self->dir, name);
    /* access(2) would ignore the capabilities of a user other than root. */
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        close(fd);
        return g_steal_pointer(&path);
    }
    if (required || errno != ENOENT) {
        tf_error_set_errno(errp, errno, "Unable to access credentials %s",
                           path);
    }
    return NULL;
}

bool tls_creds_load_dh_params(TlsCreds *self, GError **errp)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path =
        tls_creds_path(self, "dh-params.pem", false, &error);
    g_autofree char *text = NULL;
    gnutls_datum_t data;
    gsize size;
    int rc;

    if (!path) {
        if (error) {
            g_propagate_error(errp, g_steal_pointer(&error));
            return false;
        }
        return true;
    }
    if (!g_file_get_contents(path, &text, &size, errp)) {
        return false;
    }
    data = (gnutls_datum_t){(unsigned char *)text, (unsigned)size};
    rc = gnutls_dh_params_init(&self->dh_params);
    if (rc == 0) {
        rc = gnutls_dh_params_import_pkcs3(self->dh_params, &data,
                                           GNUTLS_X509_FMT_PEM);
    }
    return rc == 0 ||
           tls_error_set(errp, rc, "Unable to load DH parameters from %s",
                         path);
}

static const TlsCredsClass *tls_creds_get_class(const TlsCreds *self)
{
    return (const TlsCredsClass *)self->object.class;
}

static bool tls_creds_set_priorities(TlsCreds *self, GError **errp)
{
    const char *more = tls_creds_get_class(self)->key_exchange;
    g_autofree char *text =
        g_strconcat(self->priority ? self->priority : TLS_PRIORITY,
                    more ? ":" : "", more, NULL);
    int rc = gnutls_priority_init(&self->priorities, text, NULL);

    return rc == 0 ||
           tls_error_set(errp, rc, "Unable to set TLS session priority %s",
                         text);
}

static bool tls_creds_complete(Object *obj, GError **errp)
{
    TlsCreds *self = (TlsCreds *)obj;

    if (!self->dir) {
        return tf_error_set(errp, "Missing 'dir' property value");
    }
    return tls_creds_set_priorities(self, errp) &&
           tls_creds_get_class(self)->load(self, errp);
}

static void tls_creds_finalize(Object *obj)
{
    TlsCreds *self = (TlsCreds *)obj;

    tls_creds_get_class(self)->unload(self);
    g_clear_pointer(&self->dh_params, gnutls_dh_params_deinit);
    g_clear_pointer(&self->priorities, gnutls_priority_deinit);
}

TlsCreds *tls_creds_find(const char *id, TlsEndpoint endpoint, GError **errp)
{
    Object *obj = object_find(OBJECT_KIND_OBJECT, id);
    TlsCreds *self = (TlsCreds *)obj;

    if (!obj) {
        tf_error_set(errp, "No TLS credentials with id '%s'", id);
    } else if (!object_is_a(obj, &tls_creds_class)) {
        tf_error_set(errp, "Object with id '%s' is not TLS credentials", id);
    } else if (self->endpoint != (int)endpoint) {
        tf_error_set(errp, "Expected TLS credentials for a %s endpoint",
                     tls_endpoints[endpoint]);
    } else {
        return self;
    }
    return NULL;
}

static const Property tls_creds_props[] = {
    {
        .name = "dir",
        PROP_FIELD_STRING(TlsCreds, dir),
        .flags = PROP_FIXED,
        .since = "0.1",
        .doc = "Directory of the files, which have fixed names.",
    },
    {
        .name = "endpoint",
        PROP_FIELD_ENUM(TlsCreds, endpoint),
        .flags = PROP_FIXED,
        .def = "client",
        .enum_name = "QCryptoTLSCredsEndpoint",
        .values = tls_endpoints,
        .since = "0.1",
        .doc = "Which end of a connection they are for.",
    },
    {
        .name = "verify-peer",
        PROP_FIELD_BOOL(TlsCreds, verify_peer),
        .flags = PROP_FIXED,
        .def = "on",
        .since = "0.1",
        .doc = "Refuse a peer without a valid certificate.",
    },
    {
        .name = "priority",
        PROP_FIELD_STRING(TlsCreds, priority),
        .flags = PROP_FIXED,
        .since = "0.1",
        .doc = "Protocol versions and algorithms, as a GnuTLS priority "
               "string; default TLS 1.3 and 1.2.",
    },
    PROP_END,
};

const ObjectClass tls_creds_class = {
    .name = "tls-creds",
    .kind = OBJECT_KIND_OBJECT,
    .size = sizeof(TlsCreds),
    .props = tls_creds_props,
    .doc = "Credentials of one end of TLS connections.",
    .complete = tls_creds_complete,
    .finalize = tls_creds_finalize,
};
