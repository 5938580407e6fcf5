/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A name that takes its time holds up nobody. "slow" stands for 127.0.0.1,
 * which is known as soon as the test says so; "nobody" for nothing.
 */
#include "base/connector.h"

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool known;
static unsigned asked;

static void set_known(bool value)
{
    pthread_mutex_lock(&mutex);
    known = value;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static void wait_known(void)
{
    pthread_mutex_lock(&mutex);
    asked++;
    while (!known) {
        pthread_cond_wait(&changed, &mutex);
    }
    pthread_mutex_unlock(&mutex);
}

/* In place of the C library's. */
int getaddrinfo(const char *host, const char *port,
                const struct addrinfo *hints, struct addrinfo **list)
{
    int (*real)(const char *, const char *, const struct addrinfo *,
                struct addrinfo **);

    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (hints->ai_flags & AI_NUMERICHOST || !host ||
        (strcmp(host, "slow") && strcmp(host, "nobody"))) {
        return real(host, port, hints, list);
    }
    wait_known();
    return strcmp(host, "slow") ? EAI_NONAME
                                : real("127.0.0.1", port, hints, list);
}

typedef struct Attempt {
    Connector connector;
    int fd;
    char *why;
    unsigned calls;
    LoopTimer timer;
    unsigned ticks;
} Attempt;

static void attempt_over(void *opaque, int fd, const char *why)
{
    Attempt *attempt = opaque;

    attempt->fd = fd;
    g_free(attempt->why);
    attempt->why = g_strdup(why);
    attempt->calls++;
}

static void attempt_tick(void *opaque)
{
    Attempt *attempt = opaque;

    attempt->ticks++;
    loop_timer_set(&attempt->timer, 1000);
}

static void attempt_begin(Attempt *attempt, const Address *address)
{
    set_known(false);
    connector_init(&attempt->connector, address, attempt_over, attempt);
    loop_timer_open(&attempt->timer, attempt_tick, attempt);
    loop_timer_set(&attempt->timer, 0);
    connector_start(&attempt->connector);
    while (attempt->ticks < 10) {
        loop_iterate(true);
    }
    g_assert_cmpuint(attempt->calls, ==, 0);
}

static void attempt_end(Attempt *attempt)
{
    connector_stop(&attempt->connector);
    loop_timer_close(&attempt->timer);
    g_free(attempt->why);
}

static int listen_at(Address *bound)
{
    const Address address = {
        .type = ADDRESS_INET, .host = (char *)"127.0.0.1", .port = (char *)"0"};
    int fd = address_listen(&address, NULL);

    g_assert_cmpint(fd, >=, 0);
    g_assert_true(address_of_socket(fd, false, bound));
    return fd;
}

static void test_slow(void)
{
    g_auto(Address) address = {0};
    int listener = listen_at(&address);
    Attempt attempt = {.fd = -1};

    g_free(address.host);
    address.host = g_strdup("slow");
    attempt_begin(&attempt, &address);
    set_known(true);
    while (attempt.calls == 0) {
        loop_iterate(true);
    }
    g_assert_cmpint(attempt.fd, >=, 0);
    close(attempt.fd);
    close(listener);
    /* Now nobody listens there; and the name is what is told. */
    connector_start(&attempt.connector);
    while (attempt.calls == 1) {
        loop_iterate(true);
    }
    g_assert_cmpint(attempt.fd, ==, -1);
    g_assert_true(g_str_has_prefix(attempt.why, "Failed to connect to 'slow:"));
    attempt_end(&attempt);
}

static void test_unknown(void)
{
    const Address address = {
        .type = ADDRESS_INET, .host = (char *)"nobody", .port = (char *)"1"};
    Attempt attempt = {.fd = -1};

    attempt_begin(&attempt, &address);
    set_known(true);
    while (attempt.calls == 0) {
        loop_iterate(true);
    }
    g_assert_cmpint(attempt.fd, ==, -1);
    g_assert_cmpstr(attempt.why, ==,
                    "address resolution failed for nobody:1: "
                    "Name or service not known");
    attempt_end(&attempt);
}

/* Given up while the name is not known: nobody hears of it. */
static void test_stopped(void)
{
    Attempt attempt = {.fd = -1};
    unsigned before = asked;

    {
        g_auto(Address) address = {.type = ADDRESS_INET,
                                   .host = g_strdup("slow"),
                                   .port = g_strdup("1")};

        attempt_begin(&attempt, &address);
        connector_stop(&attempt.connector);
    }
    set_known(true);
    connector_wait_lookups();
    g_assert_cmpuint(asked, ==, before + 1);
    loop_iterate(false);
    g_assert_cmpuint(attempt.calls, ==, 0);
    attempt_end(&attempt);
}

/* Numbers need nobody's answer: what fails at once is told at once. */
static void test_numbers(void)
{
    const Address address = {.type = ADDRESS_UNIX,
                             .path = (char *)"/nonexistent/x"};
    Attempt attempt = {.fd = -1};
    unsigned before = asked;

    connector_init(&attempt.connector, &address, attempt_over, &attempt);
    connector_start(&attempt.connector);
    g_assert_cmpuint(attempt.calls, ==, 1);
    g_assert_cmpstr(attempt.why, ==,
                    "Failed to connect to '/nonexistent/x': "
                    "No such file or directory");
    g_assert_cmpuint(asked, ==, before);
    g_free(attempt.why);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/connector/slow", test_slow);
    g_test_add_func("/connector/unknown", test_unknown);
    g_test_add_func("/connector/stopped", test_stopped);
    g_test_add_func("/connector/numbers", test_numbers);
    return g_test_run();
}
