/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm-qmp: where the used indices of a NIC's receive queues lie in guest memory
 * is found by steps, each a question (nic_ask_*):
 *
 *   info network            TAP name -> netdev id (and: is it vhost-user?)
 *   x-query-virtio          the virtio-net devices
 *   qom-get DEVICE netdev   which of them has this netdev
 *   x-query-virtio-status   a packed ring has no used index; how many queues,
 *                           and what header do frames have?
 *   x-query-virtio-queue-status   guest-physical address of the used ring, and
 *                           how many entries it has
 *   gpa2hva                 the same in the VMM's address space
 *
 * the last two for each receive queue, which are virtqueues 0, 2, 4 … (virtio
 * 1.2, 5.1.2); QEMU's i-th one is fed by queue i of the TAP.
 *
 * x-query-virtio-queue-status stops the rings of a vhost-user device, so it
 * is only ever sent for a device whose netdev is known to be a TAP.
 * All of them only read; a VMM that lacks one just leaves the index unknown.
 */
#include "base/log.h"
#include "base/loop-thread.h"
#include "vm/guest-memory.h"
#include "vm/vm-qmp-internal.h"

#include <string.h>

/* A guest that boots sets its queue up soon; a VMM that lacks the commands
 * never will: ask seldom then. */
#define NIC_RETRY_US 500000
#define NIC_RETRY_MAX_US 60000000

/* An entry of a used ring: le32 id, le32 len; behind flags and index, of 16
 * bits each (virtio 1.2, 2.7.8). */
#define USED_ENTRY_SIZE 8
#define USED_INDEX_SIZE 2
/* So many may be written before the index tells (VHOST_NET_BATCH,
 * drivers/vhost/net.c; a frame of 64 KiB in QEMU). */
#define USED_AHEAD_MAX 64u

typedef struct NicLookup {
    VmQmp *vm;
    VmNic *nic;
    char *netdev;     /* the id of the TAP's netdev in the VMM */
    GPtrArray *paths; /* of the virtio-net devices, still to be asked */
    char *path;       /* the device found */
    bool busy;        /* a question is under way */
    LoopTimer retry;
    uint64_t retry_us;
    char *told; /* why it is not known, as the log has it */
    GuestMemory memory;
    unsigned n_queues; /* receive queues that it has */
    unsigned n_found;  /* of those, the first ones */
    unsigned n_known;  /* all of them were: can be asked for */
    GuestPiece indices[VM_QUEUES_MAX];
    unsigned sizes[VM_QUEUES_MAX]; /* of the rings, in entries; 0: they do not
                                      tell all lengths */
    bool in_order;                 /* then only a batch's last one (2.7.9) */
} NicLookup;

static void nic_start(NicLookup *self);

static void nic_retry(void *opaque)
{
    nic_start(opaque);
}

static void nic_failed(NicLookup *self, const char *why)
{
    if (g_strcmp0(self->told, why) != 0) {
        log_info("vm-qmp",
                 "%s: can not read what the guest got on %s from guest memory, "
                 "and counts instead: %s",
                 self->vm->vm.object.id, self->nic->ifname, why);
        g_free(self->told);
        self->told = g_strdup(why);
    }
    self->busy = false;
    if (!self->retry.armed) {
        self->retry_us =
            CLAMP(2 * self->retry_us, NIC_RETRY_US, NIC_RETRY_MAX_US);
        loop_timer_set(&self->retry, self->retry_us);
    }
}

static void nic_ask(NicLookup *self, const char *command, json_t *arguments,
                    QmpReplyFunc *func)
{
    qmp_client_call(self->vm->client, command, arguments, func, self);
}

static void nic_ask_hmp(NicLookup *self, const char *line, QmpReplyFunc *func)
{
    nic_ask(self, "human-monitor-command",
            json_pack("{s:s}", "command-line", line), func);
}

static bool nic_read_indices(const NicLookup *self, unsigned n, uint16_t *used)
{
    if (!guest_memory_read(&self->memory, self->indices, n, used)) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        used[i] = GUINT16_FROM_LE(used[i]);
    }
    return true;
}

/* All that there is to be known is. */
static void nic_found(NicLookup *self)
{
    pid_t pid = self->vm->peer;
    g_autoptr(GError) error = NULL;
    uint16_t used[VM_QUEUES_MAX];

    if (pid <= 0 || !guest_memory_open(&self->memory, pid, &error)) {
        nic_failed(self, error ? error->message : "its process is not known");
        return;
    }
    self->busy = false;
    if (!nic_read_indices(self, self->n_found, used)) {
        nic_failed(self, "guest memory can not be read");
        return;
    }
    self->n_known = self->n_found;
    g_clear_pointer(&self->told, g_free);
    log_info("vm-qmp",
             "%s: reads what the guest got on %s from guest memory "
             "of process %d, %u of %u queues",
             self->vm->vm.object.id, self->nic->ifname, (int)pid, self->n_found,
             self->n_queues);
}

static void nic_ask_queue(NicLookup *self);

static void nic_got_address(void *opaque, json_t *result)
{
    NicLookup *self = opaque;
    const char *text = json_string_value(result);
    const char *is = text ? strstr(text, " is 0x") : NULL;

    if (!is) {
        nic_failed(self, "gpa2hva gave no address");
        return;
    }
    /* The index is the 16 bits behind the flags (virtio 1.2, 2.7.8). */
    self->indices[self->n_found++] =
        (GuestPiece){g_ascii_strtoull(is + 4, NULL, 16) + 2, USED_INDEX_SIZE};
    if (self->n_found < self->n_queues) {
        nic_ask_queue(self);
    } else {
        nic_found(self);
    }
}

static void nic_got_queue(void *opaque, json_t *result)
{
    NicLookup *self = opaque;
    json_int_t address =
        json_integer_value(json_object_get(result, "vring-used"));
    g_autofree char *line =
        g_strdup_printf("gpa2hva 0x%llx", (unsigned long long)address);

    if (address > 0) {
        self->sizes[self->n_found] =
            self->in_order ? 0
                           : (unsigned)json_integer_value(
                                 json_object_get(result, "vring-num"));
        nic_ask_hmp(self, line, nic_got_address);
    } else if (self->n_found > 0) {
        nic_found(self); /* its driver has use for no more of them */
    } else {
        nic_failed(self, "the guest has not set up its receive queue");
    }
}

static void nic_ask_queue(NicLookup *self)
{
    nic_ask(self, "x-query-virtio-queue-status",
            json_pack("{s:s, s:i}", "path", self->path, "queue",
                      (int)(2 * self->n_found)),
            nic_got_queue);
}

/* Have driver and device agreed on feature @name? @status: the device's. */
static bool nic_has(const json_t *status, const char *name)
{
    json_t *features = json_object_get(status, "guest-features"), *list;
    const char *kind;

    /* Those of any device, and its own: "NAME: what it is". */
    json_object_foreach (features, kind, list) {
        size_t i;
        json_t *feature;

        json_array_foreach (list, i, feature) {
            const char *text = json_string_value(feature);

            if (text && g_str_has_prefix(text, name) &&
                text[strlen(name)] == ':') {
                return true;
            }
        }
    }
    return false;
}

/* struct virtio_net_hdr_v1_hash, virtio_net_hdr_mrg_rxbuf or virtio_net_hdr
 * (virtio 1.2, 5.1.6). */
static uint16_t nic_header(const json_t *status)
{
    return nic_has(status, "VIRTIO_NET_F_HASH_REPORT") ? 20
           : nic_has(status, "VIRTIO_NET_F_MRG_RXBUF") ||
                   nic_has(status, "VIRTIO_F_VERSION_1")
               ? 12
               : 10;
}

static void nic_got_status(void *opaque, json_t *result)
{
    NicLookup *self = opaque;

    if (!result) {
        nic_failed(self, "the VMM does not answer x-query-virtio-status");
        return;
    }
    if (nic_has(result, "VIRTIO_F_RING_PACKED")) {
        nic_failed(self, "a packed ring has no used index");
        return;
    }
    self->nic->header = nic_header(result);
    self->in_order = nic_has(result, "VIRTIO_F_IN_ORDER");
    /* A pair each, and, with several, one for control. */
    self->n_queues = MAX(
        1,
        (unsigned)json_integer_value(json_object_get(result, "num-vqs")) / 2);
    if (self->n_queues > VM_QUEUES_MAX) {
        nic_failed(self, "it has too many queues");
        return;
    }
    self->n_found = 0;
    nic_ask_queue(self);
}

static void nic_ask_next_path(NicLookup *self);

static void nic_got_netdev(void *opaque, json_t *result)
{
    NicLookup *self = opaque;

    if (g_strcmp0(json_string_value(result), self->netdev) != 0) {
        g_ptr_array_remove_index(self->paths, 0);
        nic_ask_next_path(self);
        return;
    }
    g_free(self->path);
    self->path = g_strdup(g_ptr_array_index(self->paths, 0));
    nic_ask(self, "x-query-virtio-status",
            json_pack("{s:s}", "path", self->path), nic_got_status);
}

static void nic_ask_next_path(NicLookup *self)
{
    g_autofree char *device = NULL;

    if (self->paths->len == 0) {
        nic_failed(self, "no virtio-net device has it for its netdev");
        return;
    }
    device = g_path_get_dirname(g_ptr_array_index(self->paths, 0));
    nic_ask(self, "qom-get",
            json_pack("{s:s, s:s}", "path", device, "property", "netdev"),
            nic_got_netdev);
}

/* Does @path (".../ID/virtio-backend") belong to the device the user named? */
static bool nic_path_wanted(NicLookup *self, const char *path)
{
    const char *device = self->vm->device;
    g_autofree char *dir = g_path_get_dirname(path);
    g_autofree char *id = g_path_get_basename(dir);

    return !device || strcmp(device, path) == 0 || strcmp(device, dir) == 0 ||
           strcmp(device, id) == 0;
}

static void nic_got_devices(void *opaque, json_t *result)
{
    NicLookup *self = opaque;
    size_t i;
    json_t *entry;

    g_ptr_array_set_size(self->paths, 0);
    json_array_foreach (result, i, entry) {
        const char *name = json_string_value(json_object_get(entry, "name"));
        const char *path = json_string_value(json_object_get(entry, "path"));

        if (path && g_strcmp0(name, "virtio-net") == 0 &&
            nic_path_wanted(self, path)) {
            g_ptr_array_add(self->paths, g_strdup(path));
        }
    }
    nic_ask_next_path(self);
}

/* The id of the netdev on a line of `info network`, if it is a TAP: the one
 * named @ifname, or any if @ifname does not occur in the whole text (a VMM
 * that got its TAP as a descriptor shows no name). Owned, or NULL. */
static char *nic_parse_network(const char *text, const char *ifname)
{
    g_autofree char *mine = g_strdup_printf(",ifname=%s,", ifname);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autofree char *only = NULL;
    unsigned taps = 0;

    for (char **line = lines; *line; line++) {
        char *start = *line + strspn(*line, " \\");
        char *colon = strchr(start, ':');

        if (!colon || !strstr(colon, "type=tap,")) {
            continue;
        }
        *colon = '\0';
        if (strstr(colon + 1, mine)) {
            return g_strdup(start);
        }
        if (!strstr(colon + 1, ",ifname=")) {
            taps++;
            g_free(only);
            only = g_strdup(start);
        }
    }
    return taps == 1 ? g_steal_pointer(&only) : NULL;
}

static void nic_got_network(void *opaque, json_t *result)
{
    NicLookup *self = opaque;
    const char *text = json_string_value(result);

    g_free(self->netdev);
    self->netdev = text ? nic_parse_network(text, self->nic->ifname) : NULL;
    if (!self->netdev) {
        nic_failed(self, "the VMM has no TAP of that name");
        return;
    }
    nic_ask(self, "x-query-virtio", NULL, nic_got_devices);
}

static void nic_start(NicLookup *self)
{
    if (!self->busy && qmp_client_is_ready(self->vm->client)) {
        self->busy = true;
        nic_ask_hmp(self, "info network", nic_got_network);
    }
}

/* What was known of the NIC is void: a guest reset, another process. */
static void nic_forget(NicLookup *self)
{
    self->nic->epoch++;
    self->n_known = 0;
    guest_memory_close(&self->memory);
}

void vm_qmp_find_nics(VmQmp *self)
{
    for (guint i = 0; i < self->nics->len; i++) {
        NicLookup *lookup = self->nics->pdata[i];

        if (lookup->n_known == 0) {
            lookup->retry_us = 0;
            nic_start(lookup);
        }
    }
}

void vm_qmp_forget_nics(VmQmp *self)
{
    for (guint i = 0; i < self->nics->len; i++) {
        nic_forget(self->nics->pdata[i]);
    }
}

void vm_qmp_nic_added(Vm *vm, VmNic *nic)
{
    VmQmp *self = (VmQmp *)vm;
    NicLookup *lookup = g_new0(NicLookup, 1);
    Loop *before = loop_enter(loop_control());

    loop_timer_open(&lookup->retry, nic_retry, lookup);
    loop_leave(before);
    lookup->vm = self;
    lookup->nic = nic;
    lookup->memory = GUEST_MEMORY_INIT;
    lookup->paths = g_ptr_array_new_with_free_func(g_free);
    nic->provider = lookup;
    g_ptr_array_add(self->nics, lookup);
    nic_start(lookup);
}

void vm_qmp_nic_removed(Vm *vm, VmNic *nic)
{
    VmQmp *self = (VmQmp *)vm;
    NicLookup *lookup = nic->provider;

    qmp_client_cancel(self->client, lookup);
    loop_timer_close(&lookup->retry);
    guest_memory_close(&lookup->memory);
    g_ptr_array_unref(lookup->paths);
    g_free(lookup->netdev);
    g_free(lookup->path);
    g_free(lookup->told);
    g_ptr_array_remove(self->nics, lookup);
    g_free(lookup);
}

/* Looks again for all NICs that are not known. */
static void vm_qmp_find_lost(void *opaque)
{
    GPtrArray *objects = object_list(OBJECT_KIND_OBJECT);

    for (guint i = 0; i < objects->len; i++) {
        Object *obj = objects->pdata[i];

        if (obj->class == &vm_qmp_class.object) {
            vm_qmp_find_nics((VmQmp *)obj);
        }
    }
}

unsigned vm_qmp_nic_used(Vm *vm, VmNic *nic, uint16_t *used)
{
    NicLookup *lookup = nic->provider;

    if (lookup->n_known > 0 &&
        !nic_read_indices(lookup, lookup->n_known, used)) {
        nic_forget(lookup); /* the process is gone, or the device is */
        loop_call_main(vm_qmp_find_lost, NULL);
    }
    return lookup->n_known;
}

bool vm_qmp_nic_used_lengths(VmNic *nic, unsigned queue, uint16_t first,
                             uint16_t n, uint32_t *lengths)
{
    const NicLookup *self = nic->provider;
    uint64_t ring = self->indices[queue].address + USED_INDEX_SIZE;
    unsigned size = self->sizes[queue], from = size > 0 ? first % size : 0;
    unsigned until_end = MIN(n, size - from);
    uint8_t bytes[VM_RING_MAX * USED_ENTRY_SIZE + USED_INDEX_SIZE];
    GuestPiece pieces[] = {
        {ring + (uint64_t)from * USED_ENTRY_SIZE,
         (size_t)until_end * USED_ENTRY_SIZE},
        {ring, (size_t)(n - until_end) * USED_ENTRY_SIZE},
        self->indices[queue], /* as it is behind the others */
    };
    uint16_t used;

    if (queue >= self->n_known || n > MIN(size, VM_RING_MAX) ||
        !guest_memory_read(&self->memory, pieces, G_N_ELEMENTS(pieces),
                           bytes)) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        memcpy(&lengths[i], bytes + i * USED_ENTRY_SIZE + sizeof(uint32_t),
               sizeof(lengths[i]));
        lengths[i] = GUINT32_FROM_LE(lengths[i]);
    }
    memcpy(&used, bytes + n * USED_ENTRY_SIZE, sizeof(used));
    return (uint16_t)(GUINT16_FROM_LE(used) - first) + USED_AHEAD_MAX <= size;
}
