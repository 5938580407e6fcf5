// SPDX-License-Identifier: BSD-2-Clause
//
// udpstream: a stream of numbered UDP datagrams to an echo server, and the
// account of what came back.
//
// Sends at a steady rate until SECONDS have passed or SIGTERM or SIGINT
// comes, listens on for LINGER milliseconds, and then writes one line per
// datagram to FILE:
//
//     SEQUENCE SENT-NS FIRST-REPLY-NS REPLIES
//
// (wall-clock nanoseconds, 0 where there was no reply) and a summary as one
// line of JSON to standard output.  All memory is allocated before the
// first datagram leaves; one thread, no locks.

#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    HEADERS_BYTES = 14 + 20 + 8, // Ethernet, IPv4, UDP
    FRAME_MIN = HEADERS_BYTES + 16,
    FRAME_MAX = 65535,
    BURST_MAX = 64,
    SOCKET_BUFFER = 16 << 20,
    PRIORITY = -10,
    LATE_MAX_NS = 10000000,
    NS_PER_MS = 1000000,
    NS_PER_S = 1000000000,
};

typedef struct Options {
    struct sockaddr_in server;
    int64_t rate; // datagrams per second
    int64_t seconds;
    int64_t frame; // bytes of the Ethernet frame, without its FCS
    int64_t linger_ms;
    const char *file;
} Options;

typedef struct Datagram {
    int64_t sent_ns;
    int64_t first_reply_ns;
    uint32_t replies;
} Datagram;

// What a datagram starts with.  The run's number keeps the replies to
// somebody else's datagrams, or to an earlier run's, out of this account.
typedef struct Payload {
    uint64_t run;
    uint64_t sequence;
} Payload;

typedef struct Stream {
    int fd;
    uint64_t run;
    Datagram *datagrams;
    int64_t capacity;
    int64_t sent;
    int64_t send_errors;
    int64_t slipped_ns; // the schedule was put off by so much in all
    int64_t replies;
    int64_t reordered;
    int64_t highest; // sequence number replied to, -1: none
    int64_t last_reply_ns;
    int64_t longest_gap_ns;
    int64_t longest_gap_start_ns;
} Stream;

static volatile sig_atomic_t stopping;

static void on_signal(int signal_number)
{
    (void)signal_number;
    stopping = 1;
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void usage(FILE *to)
{
    fprintf(to, "usage: udpstream --server ADDRESS [--port 7] [--rate 1000]\n"
                "           [--seconds 10] [--frame 64] [--linger 1500]\n"
                "           [--output FILE]\n");
}

static int64_t parse_number(const char *name, const char *text, int64_t min,
                            int64_t max)
{
    char *end;

    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || *end || end == text || value < min || value > max) {
        fprintf(stderr,
                "udpstream: %s must be %" PRId64 "..%" PRId64 ", not '%s'\n",
                name, min, max, text);
        exit(2);
    }
    return value;
}

static Options parse_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"server", required_argument, NULL, 's'},
        {"port", required_argument, NULL, 'p'},
        {"rate", required_argument, NULL, 'r'},
        {"seconds", required_argument, NULL, 't'},
        {"frame", required_argument, NULL, 'f'},
        {"linger", required_argument, NULL, 'l'},
        {"output", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    Options options = {
        .server = {.sin_family = AF_INET, .sin_port = htons(7)},
        .rate = 1000,
        .seconds = 10,
        .frame = 64,
        .linger_ms = 1500,
    };
    bool have_server = false;
    int c;

    while ((c = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        switch (c) {
        case 's':
            have_server = inet_aton(optarg, &options.server.sin_addr);
            break;
        case 'p':
            options.server.sin_port =
                htons(parse_number("port", optarg, 1, 65535));
            break;
        case 'r':
            options.rate = parse_number("rate", optarg, 1, 1000000);
            break;
        case 't':
            options.seconds = parse_number("seconds", optarg, 1, 3600);
            break;
        case 'f':
            options.frame = parse_number("frame", optarg, FRAME_MIN, FRAME_MAX);
            break;
        case 'l':
            options.linger_ms = parse_number("linger", optarg, 0, 60000);
            break;
        case 'o':
            options.file = optarg;
            break;
        case 'h':
            usage(stdout);
            exit(0);
        default:
            usage(stderr);
            exit(2);
        }
    }
    if (!have_server || optind != argc) {
        usage(stderr);
        exit(2);
    }
    return options;
}

static bool stream_open(Stream *stream, const Options *options)
{
    int bytes = SOCKET_BUFFER, on = 1;

    stream->capacity = options->rate * options->seconds;
    stream->datagrams = calloc(stream->capacity, sizeof(Datagram));
    if (!stream->datagrams) {
        fprintf(stderr, "udpstream: out of memory\n");
        return false;
    }
    stream->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (stream->fd < 0) {
        perror("udpstream: socket");
        return false;
    }
    setsockopt(stream->fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
    setsockopt(stream->fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
    setsockopt(stream->fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on));
    stream->run = (uint64_t)now_ns() ^ ((uint64_t)getpid() << 48);
    stream->highest = -1;
    return true;
}

static int64_t due_ns(int64_t start, int64_t sequence, int64_t rate)
{
    return start + sequence / rate * NS_PER_S +
           sequence % rate * NS_PER_S / rate;
}

// A sender that was not scheduled for long does not catch up in one burst,
// which no queue behind it is made for: it goes on from now.
static void stream_slip(Stream *stream, int64_t *start, int64_t late_ns)
{
    if (late_ns > LATE_MAX_NS) {
        *start += late_ns;
        stream->slipped_ns += late_ns;
    }
}

// Send what is due by now, at most a burst of it.
static void stream_send(Stream *stream, const Options *options, int64_t *start)
{
    static char datagram[FRAME_MAX];

    stream_slip(stream, start,
                now_ns() - due_ns(*start, stream->sent, options->rate));

    for (int i = 0; i < BURST_MAX && stream->sent < stream->capacity; i++) {
        int64_t now = now_ns();
        if (due_ns(*start, stream->sent, options->rate) > now) {
            return;
        }
        Payload payload = {.run = stream->run, .sequence = stream->sent};
        memcpy(datagram, &payload, sizeof(payload));
        ssize_t len = sendto(
            stream->fd, datagram, options->frame - HEADERS_BYTES, 0,
            (const struct sockaddr *)&options->server, sizeof(options->server));
        if (len < 0) {
            stream->send_errors++; // the same number is tried again
            return;
        }
        stream->datagrams[stream->sent++].sent_ns = now;
    }
}

static void stream_account(Stream *stream, const Payload *payload)
{
    if (payload->run != stream->run ||
        payload->sequence >= (uint64_t)stream->sent) {
        return;
    }
    int64_t sequence = (int64_t)payload->sequence;
    Datagram *datagram = &stream->datagrams[sequence];

    stream->replies++;
    if (datagram->replies++) {
        return; // a duplicate says nothing about order or gaps
    }
    int64_t now = now_ns();
    datagram->first_reply_ns = now;
    if (sequence < stream->highest) {
        stream->reordered++;
    } else {
        stream->highest = sequence;
    }
    if (stream->last_reply_ns &&
        now - stream->last_reply_ns > stream->longest_gap_ns) {
        stream->longest_gap_ns = now - stream->last_reply_ns;
        stream->longest_gap_start_ns = stream->last_reply_ns;
    }
    stream->last_reply_ns = now;
}

static void stream_receive(Stream *stream)
{
    static char datagram[FRAME_MAX];

    for (;;) {
        Payload payload;
        ssize_t len = recv(stream->fd, datagram, sizeof(datagram), 0);

        if (len < 0) {
            return;
        }
        if (len >= (ssize_t)sizeof(payload)) {
            memcpy(&payload, datagram, sizeof(payload));
            stream_account(stream, &payload);
        }
    }
}

static void stream_wait(Stream *stream, int64_t until)
{
    int64_t left = until - now_ns();

    if (left <= 0) {
        return;
    }
    struct timespec timeout = {
        .tv_sec = left / NS_PER_S,
        .tv_nsec = left % NS_PER_S,
    };
    struct pollfd poll_fd = {.fd = stream->fd, .events = POLLIN};
    ppoll(&poll_fd, 1, &timeout, NULL);
}

static void stream_run(Stream *stream, const Options *options)
{
    int64_t start = now_ns();

    while (stream->sent < stream->capacity && !stopping) {
        stream_send(stream, options, &start);
        stream_receive(stream);
        stream_wait(stream, due_ns(start, stream->sent, options->rate));
    }
    int64_t end = now_ns() + options->linger_ms * NS_PER_MS;
    while (now_ns() < end) {
        stream_wait(stream, end);
        stream_receive(stream);
    }
}

static bool write_datagrams(const Stream *stream, const char *path)
{
    FILE *file = fopen(path, "w");

    if (!file) {
        perror(path);
        return false;
    }
    for (int64_t i = 0; i < stream->sent; i++) {
        const Datagram *datagram = &stream->datagrams[i];
        fprintf(file, "%" PRId64 " %" PRId64 " %" PRId64 " %" PRIu32 "\n", i,
                datagram->sent_ns, datagram->first_reply_ns, datagram->replies);
    }
    if (fclose(file)) {
        perror(path);
        return false;
    }
    return true;
}

static void print_summary(const Stream *stream)
{
    int64_t lost = 0;

    for (int64_t i = 0; i < stream->sent; i++) {
        lost += stream->datagrams[i].replies == 0;
    }
    printf(
        "{\"sent\": %" PRId64 ", \"lost\": %" PRId64
        ", \"duplicated\": %" PRId64 ", \"reordered\": %" PRId64
        ", \"longest-gap-ns\": %" PRId64 ", \"longest-gap-start-ns\": %" PRId64
        ", \"send-errors\": %" PRId64 ", \"slipped-ns\": %" PRId64 "}\n",
        stream->sent, lost, stream->replies - (stream->sent - lost),
        stream->reordered, stream->longest_gap_ns, stream->longest_gap_start_ns,
        stream->send_errors, stream->slipped_ns);
}

int main(int argc, char **argv)
{
    Options options = parse_options(argc, argv);
    Stream stream = {0};
    struct sigaction action = {.sa_handler = on_signal};
    bool ok;

    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
    setpriority(PRIO_PROCESS, 0, PRIORITY); // to keep its times, if it may
    if (!stream_open(&stream, &options)) {
        return 1;
    }
    stream_run(&stream, &options);
    print_summary(&stream);
    ok = !options.file || write_datagrams(&stream, options.file);
    close(stream.fd);
    free(stream.datagrams);
    return ok ? 0 : 1;
}
