/* SPDX-License-Identifier: BSD-2-Clause */
#include "netdev/dgram-port.h"

#include "packet/segment.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Datagrams per wakeup, so that the rest of the loop is not starved. */
#define PORT_RECEIVE_MAX 64
/* poll() reports a unix socket with a slow receiver as writable; so waiting
 * frames are tried again after this time. */
#define PORT_RETRY_US 500

static void port_receive(void *opaque, uint32_t events)
{
    DgramPort *self = opaque;
    PacketBatch batch = {.n = 1};
    ssize_t n;

    for (int i = 0; i < PORT_RECEIVE_MAX; i++) {
        n = recv(self->fd, self->buffer, PACKET_MAX_LEN,
                 MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0) {
            /* An error told once (a port unreachable) is over with that. */
            if (errno == EAGAIN && (events & EPOLLHUP)) {
                loop_watch_remove(&self->watch);
            }
            break;
        }
        if (n > PACKET_MAX_LEN) {
            counter_add(&self->netdev->malformed, 1, (uint64_t)n);
        } else if (n > 0) {
            batch.packets[0] = (Packet){.data = self->buffer,
                                        .len = (uint32_t)n,
                                        .origin = ORIGIN_INJECTED};
            netdev_receive(self->netdev, DIRECTION_TX, &batch);
        } else if (events & EPOLLHUP) {
            loop_watch_remove(&self->watch);
            break;
        }
    }
}

/* False: later. */
static bool port_send_now(DgramPort *self, const Packet *packet)
{
    ssize_t n;

    do {
        n = sendto(self->fd, packet->data, packet->len,
                   MSG_DONTWAIT | MSG_NOSIGNAL,
                   self->to.len ? (struct sockaddr *)&self->to.storage : NULL,
                   self->to.len);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
        return false;
    }
    if (n < 0) {
        counter_add(&self->netdev->unsent, 1, packet->len);
    }
    return true;
}

static void port_retry(void *opaque)
{
    DgramPort *self = opaque;

    const PacketRecord *record;

    while ((record = packet_queue_oldest(&self->queue))) {
        Packet packet = packet_record_view(record);

        if (!port_send_now(self, &packet)) {
            loop_timer_set(&self->retry, PORT_RETRY_US);
            return;
        }
        packet_queue_pop(&self->queue);
    }
}

static void port_send_plain(void *opaque, const Packet *packet)
{
    DgramPort *self = opaque;

    if (packet_queue_size(&self->queue) > DGRAM_PORT_QUEUE_BYTES) {
        counter_add(&self->netdev->unsent, 1, packet->len);
    } else if (packet_queue_count(&self->queue) > 0 ||
               !port_send_now(self, packet)) {
        packet_queue_append(&self->queue, packet);
        if (!self->retry.armed) {
            loop_timer_set(&self->retry, PORT_RETRY_US);
        }
    }
}

void dgram_port_send(DgramPort *self, const Packet *packet)
{
    if (packet->len == 0) {
        return; /* a receiver would take it for the end of the stream */
    }
    if (!packet_is_offloaded(packet)) {
        port_send_plain(self, packet);
        return;
    }
    if (!self->scratch) {
        self->scratch = g_malloc(PACKET_MAX_LEN);
    }
    if (packet_segment(packet, self->scratch, port_send_plain, self) == 0) {
        counter_add(&self->netdev->unsent, 1, packet->len);
    }
}

void dgram_port_open(DgramPort *self, Netdev *netdev, int fd,
                     const DatagramName *to, Address *bound)
{
    *self = (DgramPort){
        .netdev = netdev,
        .fd = fd,
        .watch = LOOP_WATCH_INIT,
        .retry = LOOP_TIMER_INIT,
        .bound = {.type = ADDRESS_FD},
        .buffer = g_malloc(PACKET_MAX_LEN),
    };
    if (to) {
        self->to = *to;
    }
    if (bound) {
        self->bound = *bound;
        *bound = (Address){.type = ADDRESS_FD};
    }
    packet_queue_init(&self->queue);
    loop_timer_open(&self->retry, port_retry, self);
    loop_watch_add(&self->watch, fd, EPOLLIN, port_receive, self);
}

void dgram_port_close(DgramPort *self)
{
    if (!self->netdev) {
        return;
    }
    loop_watch_remove(&self->watch);
    loop_timer_close(&self->retry);
    address_listen_close(&self->bound, self->fd);
    address_clear(&self->bound);
    packet_queue_free(&self->queue);
    g_free(self->buffer);
    g_free(self->scratch);
    self->netdev = NULL;
}
