/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The object `iothread`: a thread with a loop (base/loop-thread.h) that
 * netdevs may be put on, with all that handles their packets.
 */
#ifndef TF_OBJECT_IOTHREAD_H
#define TF_OBJECT_IOTHREAD_H

#include "base/loop.h"
#include "object/object.h"

typedef struct IoThread IoThread;

/* The object as an iothread, or NULL if it is something else. */
IoThread *iothread_from_object(Object *obj);

/* Its loop. The caller counts itself in Object.users while it uses that. */
Loop *iothread_loop(const IoThread *iothread);

/* The entries of query-iothreads; owned. */
json_t *iothread_query_all(void);

#endif
