/* SPDX-License-Identifier: BSD-2-Clause */
/* tls-creds-x509: certificates in PEM, under QEMU's names. */
#include "chardev/tls-creds.h"

typedef struct TlsCredsX509 {
    TlsCreds creds;
    bool sanity_check;
    gnutls_certificate_credentials_t data;
} TlsCredsX509;

/* The files of one end; NULL: not there and not needed. */
typedef struct X509Files {
    char *ca, *crl, *cert, *key;
} X509Files;

static void x509_files_clear(X509Files *files)
{
    g_free(files->ca);
    g_free(files->crl);
    g_free(files->cert);
    g_free(files->key);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(X509Files, x509_files_clear)

static bool x509_find_files(const TlsCreds *creds, X509Files *files,
                            GError **errp)
{
    bool server = creds->endpoint == TLS_ENDPOINT_SERVER;
    const struct {
        char **path;
        const char *name;
        bool required;
    } rows[] = {
        {&files->ca, "ca-cert.pem", true},
        {&files->crl, "ca-crl.pem", false},
        {&files->cert, server ? "server-cert.pem" : "client-cert.pem", server},
        {&files->key, server ? "server-key.pem" : "client-key.pem", server},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        GError *error = NULL;

        *rows[i].path =
            tls_creds_path(creds, rows[i].name, rows[i].required, &error);
        if (error) {
            g_propagate_error(errp, error);
            return false;
        }
    }
    return true;
}

static bool x509_load_files(TlsCredsX509 *self, const X509Files *files,
                            GError **errp)
{
    int rc = gnutls_certificate_allocate_credentials(&self->data);

    if (rc < 0) {
        return tls_error_set(errp, rc, "Cannot allocate credentials");
    }
    rc = gnutls_certificate_set_x509_trust_file(self->data, files->ca,
                                                GNUTLS_X509_FMT_PEM);
    if (rc < 0) {
        return tls_error_set(errp, rc, "Cannot load CA certificate '%s'",
                             files->ca);
    }
    rc = files->cert && files->key ? gnutls_certificate_set_x509_key_file2(
                                         self->data, files->cert, files->key,
                                         GNUTLS_X509_FMT_PEM, NULL, 0)
                                   : 0;
    if (rc < 0) {
        return tls_error_set(errp, rc,
                             "Cannot load certificate '%s' & key '%s'",
                             files->cert, files->key);
    }
    rc = files->crl ? gnutls_certificate_set_x509_crl_file(
                          self->data, files->crl, GNUTLS_X509_FMT_PEM)
                    : 0;
    return rc >= 0 ||
           tls_error_set(errp, rc, "Cannot load CRL '%s'", files->crl);
}

static bool x509_load(TlsCreds *creds, GError **errp)
{
    TlsCredsX509 *self = (TlsCredsX509 *)creds;
    g_auto(X509Files) files = {0};

    if (!x509_find_files(creds, &files, errp) ||
        (self->sanity_check && !tls_x509_check((TlsEndpoint)creds->endpoint,
                                               files.ca, files.cert, errp)) ||
        !x509_load_files(self, &files, errp)) {
        return false;
    }
    if (creds->endpoint == TLS_ENDPOINT_SERVER) {
        if (!tls_creds_load_dh_params(creds, errp)) {
            return false;
        }
        if (creds->dh_params) {
            gnutls_certificate_set_dh_params(self->data, creds->dh_params);
        }
    }
    return true;
}

static void x509_unload(TlsCreds *creds)
{
    TlsCredsX509 *self = (TlsCredsX509 *)creds;

    g_clear_pointer(&self->data, gnutls_certificate_free_credentials);
}

static int x509_equip(TlsCreds *creds, gnutls_session_t session)
{
    TlsCredsX509 *self = (TlsCredsX509 *)creds;

    if (creds->endpoint == TLS_ENDPOINT_SERVER) {
        gnutls_certificate_server_set_request(
            session,
            creds->verify_peer ? GNUTLS_CERT_REQUIRE : GNUTLS_CERT_IGNORE);
    }
    return gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, self->data);
}

static const Property x509_props[] = {
    {
        .name = "sanity-check",
        PROP_FIELD_BOOL(TlsCredsX509, sanity_check),
        .flags = PROP_FIXED,
        .def = "on",
        .since = "0.1",
        .doc = "Refuse certificates that could not work.",
    },
    PROP_END,
};

const TlsCredsClass tls_creds_x509_class = {
    .object =
        {
            .name = "tls-creds-x509",
            .parent = &tls_creds_class,
            .kind = OBJECT_KIND_OBJECT,
            .size = sizeof(TlsCredsX509),
            .props = x509_props,
            .doc = "TLS with certificates (dir has ca-cert.pem, "
                   "server-cert.pem, server-key.pem or client-cert.pem, "
                   "client-key.pem).",
        },
    .load = x509_load,
    .unload = x509_unload,
    .equip = x509_equip,
    .certificates = true,
};
