/* SPDX-License-Identifier: BSD-2-Clause */
/* tls-creds-psk: keys that both ends were given beforehand, in keys.psk, a
 * line USER:HEX each (RFC 4279; psktool(1) makes them). */
#include "chardev/tls-creds.h"

#include <string.h>

#define PSK_DEFAULT_USER "qemu"

typedef struct TlsCredsPsk {
    TlsCreds creds;
    char *username;
    GHashTable *keys; /* of a server: user -> GBytes */
    gnutls_psk_server_credentials_t server;
    gnutls_psk_client_credentials_t client;
} TlsCredsPsk;

static void psk_erase_key(gpointer opaque)
{
    GBytes *key = opaque;
    gsize size;
    const void *data = g_bytes_get_data(key, &size);

    gnutls_memset((void *)data, 0, size);
    g_bytes_unref(key);
}

/* Takes the user and the key of one line of the file; false if it is neither
 * empty nor a comment nor a key. */
static bool psk_parse_line(GHashTable *keys, char *line)
{
    char *colon = strchr(line, ':');
    gnutls_datum_t hex, key;

    g_strchomp(line);
    if (!*line || *line == '#') {
        return true;
    }
    if (!colon) {
        return false;
    }
    *colon = '\0';
    hex = (gnutls_datum_t){(unsigned char *)colon + 1,
                           (unsigned)strlen(colon + 1)};
    if (gnutls_hex_decode2(&hex, &key) < 0) {
        return false;
    }
    g_hash_table_insert(
        keys, g_strdup(line),
        g_bytes_new_with_free_func(key.data, key.size, gnutls_free, key.data));
    return true;
}

/* All keys of the file; NULL and an error. */
static GHashTable *psk_read(const char *path, GError **errp)
{
    GHashTable *keys =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, psk_erase_key);
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    char *rest, *line;
    gsize size;
    unsigned number = 0;
    bool ok = g_file_get_contents(path, &text, &size, &error);

    if (!ok) {
        tf_error_set(errp, "Cannot read PSK file %s: %s", path, error->message);
    }
    rest = text;
    while (ok && (line = strsep(&rest, "\n"))) {
        number++;
        ok = psk_parse_line(keys, line);
        if (!ok) {
            tf_error_set(errp, "PSK file %s: line %u is not USER:HEX", path,
                         number);
        }
    }
    if (text) {
        gnutls_memset(text, 0, size);
    }
    if (!ok) {
        g_hash_table_unref(keys);
        return NULL;
    }
    return keys;
}

/* Callback of GnuTLS: the key of the user that a client has named. 1: no such
 * user; the client only sees a failed handshake. */
static int psk_find_key(gnutls_session_t session, const char *username,
                        gnutls_datum_t *key)
{
    const TlsCredsPsk *self = gnutls_db_get_ptr(session);
    GBytes *bytes = g_hash_table_lookup(self->keys, username);
    gsize size;
    const void *data;

    if (!bytes) {
        return 1;
    }
    data = g_bytes_get_data(bytes, &size);
    key->data = gnutls_malloc(size);
    if (!key->data) {
        return -1;
    }
    memcpy(key->data, data, size);
    key->size = (unsigned)size;
    return 0;
}

static bool psk_load_server(TlsCredsPsk *self, GError **errp)
{
    int rc;

    if (self->username) {
        return tf_error_set(errp,
                            "username should not be set when endpoint=server");
    }
    if (!tls_creds_load_dh_params(&self->creds, errp)) {
        return false;
    }
    rc = gnutls_psk_allocate_server_credentials(&self->server);
    if (rc < 0) {
        return tls_error_set(errp, rc, "Cannot allocate credentials");
    }
    gnutls_psk_set_server_credentials_function(self->server, psk_find_key);
    if (self->creds.dh_params) {
        gnutls_psk_set_server_dh_params(self->server, self->creds.dh_params);
    }
    return true;
}

static bool psk_load_client(TlsCredsPsk *self, const char *path, GError **errp)
{
    const char *username = self->username ? self->username : PSK_DEFAULT_USER;
    GBytes *bytes = g_hash_table_lookup(self->keys, username);
    gnutls_datum_t key;
    gsize size;
    int rc;

    if (!bytes) {
        return tf_error_set(errp, "Username %s not found in PSK file %s",
                            username, path);
    }
    rc = gnutls_psk_allocate_client_credentials(&self->client);
    if (rc < 0) {
        return tls_error_set(errp, rc, "Cannot allocate credentials");
    }
    key.data = (unsigned char *)g_bytes_get_data(bytes, &size);
    key.size = (unsigned)size;
    rc = gnutls_psk_set_client_credentials(self->client, username, &key,
                                           GNUTLS_PSK_KEY_RAW);
    return rc == 0 ||
           tls_error_set(errp, rc, "Cannot set PSK client credentials");
}

static bool psk_load(TlsCreds *creds, GError **errp)
{
    TlsCredsPsk *self = (TlsCredsPsk *)creds;
    bool server = creds->endpoint == TLS_ENDPOINT_SERVER;
    g_autofree char *path = NULL;

    if (server && !psk_load_server(self, errp)) {
        return false;
    }
    path = tls_creds_path(creds, "keys.psk", true, errp);
    self->keys = path ? psk_read(path, errp) : NULL;
    return self->keys && (server || psk_load_client(self, path, errp));
}

static void psk_unload(TlsCreds *creds)
{
    TlsCredsPsk *self = (TlsCredsPsk *)creds;

    g_clear_pointer(&self->server, gnutls_psk_free_server_credentials);
    g_clear_pointer(&self->client, gnutls_psk_free_client_credentials);
    g_clear_pointer(&self->keys, g_hash_table_unref);
}

static int psk_equip(TlsCreds *creds, gnutls_session_t session)
{
    TlsCredsPsk *self = (TlsCredsPsk *)creds;
    bool server = creds->endpoint == TLS_ENDPOINT_SERVER;

    /* The pointer is meant for a session cache, which is not used. */
    gnutls_db_set_ptr(session, self);
    return gnutls_credentials_set(session, GNUTLS_CRD_PSK,
                                  server ? (void *)self->server
                                         : (void *)self->client);
}

static const Property psk_props[] = {
    {
        .name = "username",
        PROP_FIELD_STRING(TlsCredsPsk, username),
        .flags = PROP_FIXED,
        .since = "0.1",
        .doc = "Whose key in keys.psk a client uses; default qemu.",
    },
    PROP_END,
};

const TlsCredsClass tls_creds_psk_class = {
    .object =
        {
            .name = "tls-creds-psk",
            .parent = &tls_creds_class,
            .kind = OBJECT_KIND_OBJECT,
            .size = sizeof(TlsCredsPsk),
            .props = psk_props,
            .doc = "TLS with keys that both ends share (dir has keys.psk).",
        },
    .key_exchange = "+ECDHE-PSK:+DHE-PSK:+PSK",
    .load = psk_load,
    .unload = psk_unload,
    .equip = psk_equip,
};
