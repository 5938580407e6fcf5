/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm-lines: follows a virtual machine through words on a chardev, one a line,
 * from a script or hook beside any VMM, or through the events of Cloud
 * Hypervisor (its docs/event-monitor.md) as they are.
 *
 * The words of a script are promises: "idle" that "migrating" will be said
 * before the next migration. Cloud Hypervisor's events promise nothing, since
 * a VM may also leave by a snapshot: without a migration under way it can't
 * be told whether one is near.
 */
#include "base/log.h"
#include "chardev/chardev.h"
#include "vm/vm.h"
#include "vm/word-reader.h"

#include <string.h>

/* Bytes read at a time, and how often before others have their turn. */
#define READ_SIZE 4096
#define READS_MAX 16

typedef struct VmLines {
    Vm vm;
    char *chardev_id;
    uint64_t ignored; /* words that mean nothing */
    Chardev *chardev;
    WordReader reader;
} VmLines;

typedef enum VmWordKind {
    VM_WORD_RUNNING,
    VM_WORD_STOPPED,
    VM_WORD_GONE,
    VM_WORD_MIGRATION,
} VmWordKind;

typedef struct VmWord {
    const char *word;
    VmWordKind kind;
    VmMigration migration;
} VmWord;

static const VmWord vm_words[] = {
    {"running", VM_WORD_RUNNING, 0},
    {"stopped", VM_WORD_STOPPED, 0},
    {"gone", VM_WORD_GONE, 0},
    {"idle", VM_WORD_MIGRATION, VM_MIGRATION_NONE},
    {"migrating", VM_WORD_MIGRATION, VM_MIGRATION_ACTIVE},
    {"migrated", VM_WORD_MIGRATION, VM_MIGRATION_COMPLETED},
    /* Cloud Hypervisor */
    {"vm.booted", VM_WORD_RUNNING, 0},
    {"vm.resumed", VM_WORD_RUNNING, 0},
    {"vm.paused", VM_WORD_STOPPED, 0},
    {"vm.restoring", VM_WORD_STOPPED, 0},
    {"vm.migration-receive-started", VM_WORD_STOPPED, 0},
    {"vm.shutdown", VM_WORD_GONE, 0},
    {"vm.migration-receive-failed", VM_WORD_GONE, 0},
    {"vmm.shutdown", VM_WORD_GONE, 0},
    {"vm.migration-started", VM_WORD_MIGRATION, VM_MIGRATION_ACTIVE},
    {"vm.migration-finished", VM_WORD_MIGRATION, VM_MIGRATION_COMPLETED},
    {"vm.migration-failed", VM_WORD_MIGRATION, VM_MIGRATION_UNKNOWN},
    {"vm.migration-cancelled", VM_WORD_MIGRATION, VM_MIGRATION_UNKNOWN},
};

static const VmWord *vm_word_find(const char *text)
{
    for (size_t i = 0; i < G_N_ELEMENTS(vm_words); i++) {
        if (strcmp(vm_words[i].word, text) == 0) {
            return &vm_words[i];
        }
    }
    return NULL;
}

/* Cloud Hypervisor has many events that are none of our business. */
static void vm_lines_ignore(VmLines *self, const char *text)
{
    g_autofree char *shown = NULL;

    if (strchr(text, '.') && !strchr(text, ' ')) {
        return;
    }
    if (self->ignored++ == 0) {
        g_autofree char *cut = g_strndup(text, 40);

        shown = g_strescape(cut, NULL);
        log_warning("vm-lines",
                    "%s: ignores '%s' and counts what else it does not know; "
                    "use running, stopped, gone, idle, migrating, migrated",
                    self->vm.object.id, shown);
    }
}

static void vm_lines_word(void *opaque, const char *text)
{
    VmLines *self = opaque;
    const VmWord *word = vm_word_find(text);
    int64_t now = g_get_real_time();

    if (!word) {
        vm_lines_ignore(self, text);
        return;
    }
    log_info("vm-lines", "%s: %s", self->vm.object.id, word->word);
    switch (word->kind) {
    case VM_WORD_RUNNING:
    case VM_WORD_STOPPED:
        vm_set_running(&self->vm, word->kind == VM_WORD_RUNNING, now);
        break;
    case VM_WORD_GONE:
        vm_set_gone(&self->vm, now);
        break;
    case VM_WORD_MIGRATION:
        vm_set_migration(&self->vm, word->migration, now);
        break;
    }
}

/* The chardev */

static void vm_lines_opened(void *opaque)
{
    word_reader_reset(&((VmLines *)opaque)->reader);
}

static void vm_lines_closed(void *opaque)
{
    VmLines *self = opaque;

    log_warning("vm-lines",
                "%s: chardev '%s' has lost its peer; until there is another "
                "the VM counts as %s",
                self->vm.object.id, self->chardev_id,
                !self->vm.known    ? "unknown"
                : self->vm.running ? "running"
                                   : "stopped");
}

static void vm_lines_readable(void *opaque)
{
    VmLines *self = opaque;
    char data[READ_SIZE];
    ssize_t n = 1;

    for (unsigned i = 0; i < READS_MAX && n > 0; i++) {
        n = chardev_read(self->chardev, data, sizeof(data));
        if (n > 0) {
            word_reader_feed(&self->reader, data, (size_t)n, vm_lines_word,
                             self);
        }
    }
}

static const ChardevHandlers vm_lines_chardev_handlers = {
    .opened = vm_lines_opened,
    .closed = vm_lines_closed,
    .readable = vm_lines_readable,
};

/* The object */

static bool vm_lines_complete(Object *obj, GError **errp)
{
    VmLines *self = (VmLines *)obj;

    word_reader_init(&self->reader);
    self->vm.migration = VM_MIGRATION_UNKNOWN;
    self->chardev =
        chardev_claim(self->chardev_id, &vm_lines_chardev_handlers, self, errp);
    if (!self->chardev) {
        return false;
    }
    self->chardev->object.users++;
    chardev_want_read(self->chardev, true);
    return true;
}

static void vm_lines_finalize(Object *obj)
{
    VmLines *self = (VmLines *)obj;

    if (self->chardev) {
        self->chardev->object.users--;
        chardev_release(self->chardev);
    }
    word_reader_free(&self->reader);
    g_clear_pointer(&self->vm.listeners, g_ptr_array_unref);
}

static const Property vm_lines_props[] = {
    {.name = "chardev",
     PROP_FIELD_STRING(VmLines, chardev_id),
     .flags = PROP_REQUIRED | PROP_FIXED,
     .since = "0.1",
     .doc = "id of the chardev that the words come from"},
    {.name = "ignored-lines",
     PROP_FIELD_UINT64(VmLines, ignored),
     .flags = PROP_READ_ONLY,
     .since = "0.1",
     .doc = "how many lines were none of its words"},
    PROP_END,
};

const VmClass vm_lines_class = {
    .object =
        {
            .name = "vm-lines",
            .parent = &vm_class,
            .kind = OBJECT_KIND_OBJECT,
            .order = OBJECT_ORDER_BEHIND_CHARDEVS,
            .size = sizeof(VmLines),
            .props = vm_lines_props,
            .doc = "follows a virtual machine through lines of text, or "
                   "through Cloud Hypervisor's events",
            .complete = vm_lines_complete,
            .finalize = vm_lines_finalize,
        },
};
