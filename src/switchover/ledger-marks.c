/* SPDX-License-Identifier: BSD-2-Clause */
/* The ledger: which frames found the queue full. */
#include "switchover/ledger-internal.h"

#include <string.h>

/* Forgets the first @n marks, which were passed. */
static void ledger_forget_marks(Ledger *ledger, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        ledger->dropped_forgotten += ledger->marks[i].dropped;
    }
    ledger->n_marks -= n;
    ledger->n_passed -= n;
    memmove(ledger->marks, ledger->marks + n,
            ledger->n_marks * sizeof(ledger->marks[0]));
}

/* Old marks are forgotten; or, while a stop may go back far, two of them become
 * one. */
static void ledger_make_room(Ledger *ledger)
{
    unsigned n = ledger->n_passed / 4;

    if (ledger->certain) {
        ledger_forget_marks(ledger, ledger->n_passed / 2);
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        LedgerMark *mark = &ledger->marks[i];

        *mark = ledger->marks[2 * i];
        mark->end = ledger->marks[2 * i + 1].end;
        mark->dropped += ledger->marks[2 * i + 1].dropped;
    }
    ledger->n_marks -= n;
    ledger->n_passed -= n;
    memmove(ledger->marks + n, ledger->marks + 2 * n,
            (ledger->n_marks - n) * sizeof(ledger->marks[0]));
}

/* Lets the last mark begin @n frames earlier: more of the frames that were
 * drained before they were counted. */
static void ledger_stretch(Ledger *ledger, uint64_t n)
{
    unsigned i = ledger->n_marks - 1;
    uint64_t first = ledger->marks[i].first;

    ledger->marks[i].first = first - MIN(n, first);
    while (i > ledger->n_passed &&
           ledger->marks[i - 1].end > ledger->marks[i].first) {
        /* Into the one before: then they are one. */
        ledger->marks[i - 1].dropped += ledger->marks[i].dropped;
        ledger->marks[i - 1].end = ledger->marks[i].end;
        ledger->n_marks = i--;
    }
}

/* The VM stands still, and so it did at the last mark: true if that one simply
 * goes on. A VMM that takes a late one makes room, and there may be a second
 * run. */
static bool ledger_extend_stopped(Ledger *ledger, uint64_t dropped, uint64_t tx)
{
    LedgerMark *last = &ledger->marks[MAX(ledger->n_marks, 1) - 1];
    bool took_late =
        tx != ledger->mark_tx && tx - ledger->mark_tx <= LEDGER_TAKEN_LATE_MAX;

    ledger->mark_tx = tx;
    if (ledger->n_marks == 0 || !ledger->stands || !last->stands || took_late) {
        return false;
    }
    last->end = ledger->meter.entered;
    last->dropped += dropped;
    last->fits = MIN(last->fits, last->end - last->first - last->dropped);
    ledger->fits_known = true;
    return true;
}

/* Some of @mark's frames had been drained before they were counted: those go
 * to the mark before it. */
static void ledger_take_late(Ledger *ledger, LedgerMark *mark)
{
    LedgerMark *last = &ledger->marks[ledger->n_marks - 1];
    uint64_t late = mark->dropped - MIN(mark->dropped, mark->end - last->end);
    uint64_t room = last->end - last->first - last->dropped;

    if (late > room) {
        ledger_stretch(ledger, late - room);
    }
    last = &ledger->marks[ledger->n_marks - 1];
    last->dropped += late;
    mark->first = last->end;
    mark->dropped -= late;
}

void ledger_mark(Ledger *ledger, uint64_t dropped, uint64_t tx)
{
    uint64_t end = ledger->meter.entered;
    LedgerMark mark = {
        .first = MIN(ledger->sampled, end - MIN(dropped, end)),
        .end = end,
        .dropped = dropped,
        .stands = ledger->stands,
    };
    LedgerMark *last;

    if (ledger->n_marks == LEDGER_MARKS_MAX) {
        ledger_make_room(ledger);
    }
    if (ledger_extend_stopped(ledger, dropped, tx)) {
        return;
    }
    last = &ledger->marks[MAX(ledger->n_marks, 1) - 1];
    if (ledger->n_marks > 0 && mark.first < last->end) {
        ledger_take_late(ledger, &mark);
        last = &ledger->marks[ledger->n_marks - 1];
    }
    if (mark.dropped == 0) {
        return;
    }
    if (ledger->n_marks > 0 && last->end == mark.first) {
        bool only_drops = end - mark.first == mark.dropped;

        /* Once the VM stands nothing makes room any more: if there was some,
         * it came before. */
        mark.was_full =
            !ledger->stands &&
            (!last->was_full || last->end - last->first == last->dropped);
        if (ledger->n_marks > ledger->n_passed && only_drops && mark.was_full &&
            !last->was_full) {
            /* A run of drops goes on. */
            last->end = end;
            last->dropped += mark.dropped;
            return;
        }
    }
    if (ledger->n_marks == LEDGER_MARKS_MAX) {
        last->end = end; /* where exactly gets vague; how many does not */
        last->dropped += mark.dropped;
        return;
    }
    mark.fits = mark.end - mark.first - mark.dropped;
    ledger->fits_known = false;
    ledger->marks[ledger->n_marks++] = mark;
}

/* Where the dropped ones of @mark begin. */
static uint64_t mark_begin(const LedgerMark *mark)
{
    return mark->stands     ? mark->first + mark->fits
           : mark->was_full ? mark->first
                            : mark->end - mark->dropped;
}

void ledger_locate(Ledger *ledger, uint64_t accepted)
{
    ledger->accepted = accepted;
    ledger->dropped_before = ledger->dropped_forgotten;
    for (ledger->n_passed = 0; ledger->n_passed < ledger->n_marks;
         ledger->n_passed++) {
        const LedgerMark *mark = &ledger->marks[ledger->n_passed];

        if (accepted + ledger->dropped_before + mark->dropped < mark->end) {
            break;
        }
        ledger->dropped_before += mark->dropped;
    }
    ledger->taken = accepted + ledger->dropped_before;
}

uint64_t ledger_number(const Ledger *ledger, uint64_t accepted, bool most)
{
    uint64_t number = accepted + ledger->dropped_forgotten;

    for (unsigned i = 0; i < ledger->n_marks; i++) {
        const LedgerMark *mark = &ledger->marks[i];

        uint64_t safe = mark->stands ? mark_begin(mark) : mark->first;

        if (most ? number <= safe : number + mark->dropped < mark->end) {
            break;
        }
        number += mark->dropped;
    }
    return number;
}

uint64_t ledger_dropped(const Ledger *ledger)
{
    uint64_t dropped = ledger->dropped_before;

    for (unsigned i = ledger->n_passed; i < ledger->n_marks; i++) {
        dropped += ledger->marks[i].dropped;
    }
    return dropped;
}

void ledger_split_mark(Ledger *ledger, uint64_t first)
{
    LedgerMark *mark = &ledger->marks[MAX(ledger->n_marks, 1) - 1], behind;

    if (ledger->n_marks == 0 || ledger->n_marks == LEDGER_MARKS_MAX ||
        !mark->was_full || first <= mark->first || first >= mark->end ||
        first - mark->first >= mark->dropped) {
        return;
    }
    behind = (LedgerMark){
        .first = first,
        .end = mark->end,
        .dropped = mark->dropped - (first - mark->first),
    };
    mark->end = first;
    mark->dropped = first - mark->first;
    ledger->marks[ledger->n_marks++] = behind;
}

void ledger_bound_run(Ledger *ledger, uint64_t first)
{
    LedgerMark *last = &ledger->marks[MAX(ledger->n_marks, 1) - 1];

    if (ledger->n_marks > 0 && last->stands && !ledger->fits_known) {
        uint64_t behind = last->first + last->dropped;

        last->fits = MIN(last->fits, first - MIN(first, behind));
    }
}

void ledger_forget_passed(Ledger *ledger)
{
    ledger_forget_marks(ledger, ledger->n_passed);
}

static const LedgerMark *ledger_find_mark(const Ledger *ledger, uint64_t number)
{
    for (unsigned i = 0; i < ledger->n_marks; i++) {
        const LedgerMark *mark = &ledger->marks[i];

        if (number >= mark->first && number < mark->end) {
            return mark;
        }
    }
    return NULL;
}

bool ledger_may_be_dropped(const Ledger *ledger, uint64_t number)
{
    return ledger_find_mark(ledger, number) != NULL;
}

bool ledger_was_dropped(const Ledger *ledger, uint64_t number)
{
    const LedgerMark *mark = ledger_find_mark(ledger, number);
    uint64_t begin = mark ? mark_begin(mark) : 0;

    return mark && (ledger->multi ||
                    (number >= begin && number < begin + mark->dropped));
}
