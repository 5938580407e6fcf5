/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tls-creds-x509 and tls-creds-psk: the keys and certificates of one end of
 * TLS connections, with QEMU's properties and QEMU's file names in "dir".
 *
 * The files are read once, when the object is created, so that the daemon may
 * give up the right to read them. Users of an object count in Object.users,
 * which keeps it from being deleted. Main thread only.
 */
#ifndef TF_CHARDEV_TLS_CREDS_H
#define TF_CHARDEV_TLS_CREDS_H

#include "object/object.h"

#include <gnutls/gnutls.h>

/* The order of the words of the property "endpoint". */
typedef enum TlsEndpoint {
    TLS_ENDPOINT_CLIENT,
    TLS_ENDPOINT_SERVER,
} TlsEndpoint;

typedef struct TlsCreds {
    Object object;
    /* properties */
    char *dir;
    int endpoint; /* TlsEndpoint */
    char *priority;
    bool verify_peer;
    /* state */
    gnutls_priority_t priorities;
    gnutls_dh_params_t dh_params; /* NULL: those of RFC 7919 */
} TlsCreds;

typedef struct TlsCredsClass {
    ObjectClass object;
    const char *key_exchange; /* behind every priority string; or NULL */
    /* Reads the files in dir. */
    bool (*load)(TlsCreds *self, GError **errp);
    /* Undoes it, also if it failed half way. */
    void (*unload)(TlsCreds *self);
    /* Gives a session its credentials; returns a GnuTLS error. */
    int (*equip)(TlsCreds *self, gnutls_session_t session);
    bool certificates; /* the peer shows one, to be verified */
} TlsCredsClass;

extern const ObjectClass tls_creds_class; /* the abstract base */

/* Finds the credentials @id for one end of a connection; borrowed. */
TlsCreds *tls_creds_find(const char *id, TlsEndpoint endpoint, GError **errp);

/* For the types */

/* The path of @name in dir; owned. NULL if it is not there or can't be read:
 * an error if it is @required or exists. */
char *tls_creds_path(const TlsCreds *self, const char *name, bool required,
                     GError **errp);

/* Reads dh-params.pem, if there is one. */
bool tls_creds_load_dh_params(TlsCreds *self, GError **errp);

/* Sets an error that ends in what GnuTLS says of @code. Returns false. */
bool tls_error_set(GError **errp, int code, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* What GnuTLS's certificate status @status means; static. */
const char *tls_status_text(unsigned status);

/* Is what lies in these files fit for its purpose? @cert may be NULL. */
bool tls_x509_check(TlsEndpoint endpoint, const char *ca_path,
                    const char *cert_path, GError **errp);

#endif
