/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looks at certificates before they are used: what could never work is said
 * when the object is made, by its name, and not in the middle of a migration
 * by a failing handshake. The rules and the words are QEMU's; key encipherment
 * is not asked for, which neither TLS 1.3 nor an ECDSA key has a use for.
 */
#include "chardev/tls-creds.h"

#include <gnutls/x509.h>
#include <string.h>
#include <time.h>

/* The certificates of one PEM file. */
typedef struct CertList {
    gnutls_x509_crt_t *certs;
    unsigned n;
} CertList;

static void cert_list_clear(CertList *list)
{
    for (unsigned i = 0; i < list->n; i++) {
        gnutls_x509_crt_deinit(list->certs[i]);
    }
    gnutls_free(list->certs);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CertList, cert_list_clear)

typedef enum CertRole {
    ROLE_CLIENT,
    ROLE_SERVER,
    ROLE_CA,
} CertRole;

static const char *const role_words[] = {"client", "server", "CA"};

const char *tls_status_text(unsigned status)
{
    static const struct {
        unsigned bit;
        const char *text;
    } reasons[] = {
        {GNUTLS_CERT_SIGNER_NOT_FOUND,
         "The certificate hasn't got a known issuer"},
        {GNUTLS_CERT_REVOKED, "The certificate has been revoked"},
        {GNUTLS_CERT_EXPIRED, "The certificate has expired"},
        {GNUTLS_CERT_NOT_ACTIVATED, "The certificate is not yet activated"},
        {GNUTLS_CERT_REVOCATION_DATA_SUPERSEDED,
         "The revocation list is out of date"},
        {GNUTLS_CERT_INSECURE_ALGORITHM,
         "The certificate uses an insecure algorithm"},
        {GNUTLS_CERT_UNEXPECTED_OWNER,
         "Certificate does not match the hostname"},
        {GNUTLS_CERT_INVALID, "The certificate is not trusted"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(reasons); i++) {
        if (status & reasons[i].bit) {
            return reasons[i].text;
        }
    }
    return "Invalid certificate";
}

static bool check_times(gnutls_x509_crt_t cert, const char *path, CertRole role,
                        GError **errp)
{
    time_t now = time(NULL);

    if (gnutls_x509_crt_get_expiration_time(cert) < now) {
        return tf_error_set(errp, "The %s certificate %s has expired",
                            role_words[role], path);
    }
    if (gnutls_x509_crt_get_activation_time(cert) > now) {
        return tf_error_set(errp, "The %s certificate %s is not yet active",
                            role_words[role], path);
    }
    return true;
}

static bool check_constraints(gnutls_x509_crt_t cert, const char *path,
                              CertRole role, GError **errp)
{
    int ca = gnutls_x509_crt_get_basic_constraints(cert, NULL, NULL, NULL);

    if (ca == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
        return role != ROLE_CA ||
               tf_error_set(errp,
                            "The certificate %s is missing basic constraints "
                            "for a CA",
                            path);
    }
    if (ca < 0) {
        return tls_error_set(
            errp, ca, "Unable to query certificate %s basic constraints", path);
    }
    if (ca > 0 && role != ROLE_CA) {
        return tf_error_set(errp,
                            "The certificate %s basic constraints show a CA, "
                            "but we need one for a %s",
                            path, role_words[role]);
    }
    return ca > 0 || role != ROLE_CA ||
           tf_error_set(errp,
                        "The certificate %s basic constraints do not show a "
                        "CA",
                        path);
}

static bool check_usage(gnutls_x509_crt_t cert, const char *path, CertRole role,
                        GError **errp)
{
    unsigned wanted = role == ROLE_CA ? GNUTLS_KEY_KEY_CERT_SIGN
                                      : GNUTLS_KEY_DIGITAL_SIGNATURE;
    unsigned usage = 0, critical = 0;
    int rc = gnutls_x509_crt_get_key_usage(cert, &usage, &critical);

    if (rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
        return true;
    }
    if (rc < 0) {
        return tls_error_set(errp, rc,
                             "Unable to query certificate %s key usage", path);
    }
    return usage & wanted || !critical ||
           tf_error_set(errp, "Certificate %s usage does not permit %s", path,
                        role == ROLE_CA ? "certificate signing"
                                        : "digital signature");
}

static bool check_purpose(gnutls_x509_crt_t cert, const char *path,
                          CertRole role, GError **errp)
{
    const char *wanted = role == ROLE_SERVER ? GNUTLS_KP_TLS_WWW_SERVER
                                             : GNUTLS_KP_TLS_WWW_CLIENT;
    bool critical = false;
    unsigned i;

    for (i = 0;; i++) {
        char oid[128];
        size_t size = sizeof(oid);
        unsigned this_critical = 0;
        int rc = gnutls_x509_crt_get_key_purpose_oid(cert, i, oid, &size,
                                                     &this_critical);

        if (rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
            break;
        }
        if (rc < 0) {
            return tls_error_set(
                errp, rc, "Unable to query certificate %s key purpose", path);
        }
        if (strcmp(oid, wanted) == 0 || strcmp(oid, GNUTLS_KP_ANY) == 0) {
            return true;
        }
        critical = critical || this_critical;
    }
    return i == 0 || !critical ||
           tf_error_set(errp,
                        "Certificate %s purpose does not allow use with a TLS "
                        "%s",
                        path, role_words[role]);
}

static bool check_cert(gnutls_x509_crt_t cert, const char *path, CertRole role,
                       GError **errp)
{
    return check_times(cert, path, role, errp) &&
           check_constraints(cert, path, role, errp) &&
           check_usage(cert, path, role, errp) &&
           (role == ROLE_CA || check_purpose(cert, path, role, errp));
}

static bool read_certs(CertList *list, const char *path, CertRole role,
                       GError **errp)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    gnutls_datum_t data;
    gsize size;
    int rc;

    if (!g_file_get_contents(path, &text, &size, &error)) {
        return tf_error_set(errp, "Cannot load CA cert list %s: %s", path,
                            error->message);
    }
    data = (gnutls_datum_t){(unsigned char *)text, (unsigned)size};
    rc = gnutls_x509_crt_list_import2(&list->certs, &list->n, &data,
                                      GNUTLS_X509_FMT_PEM, 0);
    if (rc < 0 && role == ROLE_CA) {
        return tf_error_set(errp, "Unable to import CA certificate list %s",
                            path);
    }
    return rc >= 0 ||
           tls_error_set(errp, rc, "Unable to import %s certificate %s",
                         role_words[role], path);
}

static bool check_pair(const CertList *own, const char *path,
                       const CertList *ca, const char *ca_path, CertRole role,
                       GError **errp)
{
    unsigned status = 0;

    if (gnutls_x509_crt_list_verify(own->certs, (int)own->n, ca->certs,
                                    (int)ca->n, NULL, 0, 0, &status) < 0) {
        return tf_error_set(errp,
                            "Unable to verify %s certificate %s against CA "
                            "certificate %s",
                            role_words[role], path, ca_path);
    }
    return status == 0 ||
           tf_error_set(errp,
                        "Our own certificate %s failed validation against %s: "
                        "%s",
                        path, ca_path, tls_status_text(status));
}

bool tls_x509_check(TlsEndpoint endpoint, const char *ca_path,
                    const char *cert_path, GError **errp)
{
    CertRole role = endpoint == TLS_ENDPOINT_SERVER ? ROLE_SERVER : ROLE_CLIENT;
    g_auto(CertList) own = {0};
    g_auto(CertList) ca = {0};

    if ((cert_path && !read_certs(&own, cert_path, role, errp)) ||
        !read_certs(&ca, ca_path, ROLE_CA, errp) ||
        (own.n > 0 && !check_cert(own.certs[0], cert_path, role, errp))) {
        return false;
    }
    for (unsigned i = 0; i < ca.n; i++) {
        if (!check_cert(ca.certs[i], ca_path, ROLE_CA, errp)) {
            return false;
        }
    }
    return own.n == 0 || check_pair(&own, cert_path, &ca, ca_path, role, errp);
}
