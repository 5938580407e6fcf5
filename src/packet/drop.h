/* SPDX-License-Identifier: BSD-2-Clause */
/* Why a frame did not go on. One counter each, named dropped-CAUSE. */
#ifndef TF_PACKET_DROP_H
#define TF_PACKET_DROP_H

typedef enum DropCause {
    DROP_QUEUE_FULL,   /* the bounded send queue of outdev was full */
    DROP_TAP_FULL,     /* the running guest was too slow for its TAP queue */
    DROP_RING,         /* the kernel's capture ring was full */
    DROP_OVERSIZE,     /* larger than the interface or the wire takes */
    DROP_INJECT,       /* the interface refused it, or is gone */
    DROP_DISCONNECTED, /* outdev has no peer */
    DROP__MAX,
} DropCause;

#endif
