/* SPDX-License-Identifier: BSD-2-Clause */
/* The ledger: which frames were dropped. */
#include "switchover/ledger-internal.h"

#include <string.h>

/* NULL: there is none. */
static LedgerMark *ledger_last_mark(Ledger *ledger)
{
    return ledger->n_marks > 0 ? &ledger->marks[ledger->n_marks - 1] : NULL;
}

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

/* Makes room for a mark: removes old ones, or, while a stop may go back far,
 * merges pairs of them. */
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

/* Lets the last mark begin @n frames earlier, and merges it with those that it
 * then overlaps. */
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

/* The run of dropped frames of a mark with @stands begins at frame @number or
 * before. (Its first samples may have seen drops before they were counted.) */
static void mark_run_begins(LedgerMark *mark, uint64_t number)
{
    mark->begin = MIN(mark->begin, number);
    mark->first = MIN(mark->first, mark->begin);
}

/* If the VM has been stopped since the last mark, that is extended: true. False
 * if a late frame was taken: that has made room, and there may be a second run.
 */
static bool ledger_extend_stopped(Ledger *ledger, uint64_t dropped)
{
    LedgerMark *last = ledger_last_mark(ledger);
    bool made_room = ledger->made_room;

    ledger->made_room = false;
    if (!last || !ledger->stands || !last->stands || made_room) {
        return false;
    }
    last->end = ledger->meter.entered;
    last->dropped += dropped;
    mark_run_begins(last, last->end - last->dropped);
    ledger->begin_known = true;
    return true;
}

/* @mark has more drops than frames behind the last mark: some of its frames
 * were captured before that, and counted since. Those go to the last mark. */
static void ledger_take_late(Ledger *ledger, LedgerMark *mark)
{
    LedgerMark *last = ledger_last_mark(ledger);
    uint64_t late = mark->dropped - MIN(mark->dropped, mark->end - last->end);
    uint64_t room = last->end - last->first - last->dropped;

    if (late > room) {
        ledger_stretch(ledger, late - room);
    }
    last = ledger_last_mark(ledger);
    last->dropped += late;
    mark->first = last->end;
    mark->dropped -= late;
}

bool ledger_takes_late(Ledger *ledger, uint64_t tx)
{
    bool late = ledger->stands && tx != ledger->tx_last &&
                tx - ledger->tx_last <= LEDGER_TAKEN_LATE_MAX;

    ledger->made_room |= late;
    return late;
}

/* The VM has resumed, and at the last sample its VMM had not yet taken enough
 * frames to make room. */
static bool ledger_begins_to_run(const Ledger *ledger)
{
    return ledger->frozen && !ledger->stands &&
           ledger->tx_last - ledger->resume_tx < LEDGER_SLOTS_LATE_MAX;
}

/* If @mark continues the run of drops of the last mark, it is merged into that:
 * true. Else sets its @was_full and @vague. */
static bool ledger_extend_run(Ledger *ledger, LedgerMark *mark, bool took_late)
{
    LedgerMark *last = ledger_last_mark(ledger);
    bool only_drops = mark->end - mark->first == mark->dropped;

    if (last && last->end == mark->first) {
        /* Once the VM stands nothing else makes room: if there was some, it
         * came before. */
        mark->was_full =
            (!ledger->stands || took_late) && !last->vague &&
            (!last->was_full || last->end - last->first == last->dropped);
        if (ledger->n_marks > ledger->n_passed && only_drops &&
            mark->was_full && !last->was_full && !took_late) {
            last->end = mark->end;
            last->dropped += mark->dropped;
            return true;
        }
    }
    mark->vague = (mark->was_full && took_late) ||
                  (!only_drops && ledger_begins_to_run(ledger));
    return false;
}

void ledger_mark(Ledger *ledger, uint64_t dropped, bool took_late)
{
    uint64_t end = ledger->meter.entered;
    LedgerMark mark = {
        .first = MIN(ledger->sampled, end - MIN(dropped, end)),
        .end = end,
        .least = ledger->counted - MIN(LEDGER_UNCOUNTED_MAX, ledger->counted),
        .dropped = dropped,
        .room_least = UINT64_MAX,
        .room_most = UINT64_MAX,
    };
    LedgerMark *last;

    if (ledger->n_marks == LEDGER_MARKS_MAX) {
        ledger_make_room(ledger);
    }
    if (ledger_extend_stopped(ledger, dropped)) {
        return;
    }
    last = ledger_last_mark(ledger);
    if (last && mark.first < last->end) {
        ledger_take_late(ledger, &mark);
    }
    if (mark.dropped == 0 || ledger_extend_run(ledger, &mark, took_late)) {
        return;
    }
    if (ledger->n_marks == LEDGER_MARKS_MAX) {
        last = ledger_last_mark(ledger);
        last->end = end; /* where exactly gets vague; how many does not */
        last->dropped += mark.dropped;
        return;
    }
    mark.stands = ledger->stands && !mark.vague;
    mark.begin = mark.end - mark.dropped;
    ledger->begin_known = false;
    ledger->marks[ledger->n_marks++] = mark;
}

void ledger_mark_found(Ledger *ledger, uint64_t dropped, uint64_t full)
{
    uint64_t end = ledger->meter.entered, begin = end - MIN(dropped, end);

    ledger->marks[ledger->n_marks++] = (LedgerMark){
        .first = MIN(full, begin),
        .end = end,
        .least = MIN(full, begin),
        .dropped = dropped,
        .room_least = UINT64_MAX,
        .room_most = UINT64_MAX,
        /* Others have come between them: any of these may have been. */
        .vague = full < begin,
        .stands = full >= begin,
        .begin = begin,
    };
    ledger->begin_known = true;
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

        uint64_t safe = mark->stands ? mark->begin : mark->first;

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

void ledger_made_room(Ledger *ledger, uint64_t least, uint64_t most)
{
    ledger->room_least = least;
    ledger->room_most = most;
    for (unsigned i = ledger->n_marks;
         i-- > 0 && ledger->marks[i].end > least;) {
        ledger->marks[i].room_least = least;
        ledger->marks[i].room_most = most;
    }
}

void ledger_bound_run(Ledger *ledger, uint64_t first, uint64_t most)
{
    LedgerMark *last = ledger_last_mark(ledger);

    if (!last || !last->stands || ledger->begin_known) {
        return;
    }
    first -= MIN(first, last->dropped);
    mark_run_begins(last, MAX(last->first, first));
    if (most > last->begin + last->dropped) {
        last->vague = true;
        last->stands = false;
        last->first = last->begin;
        last->end = MIN(last->end, most);
    }
}

void ledger_forget_passed(Ledger *ledger)
{
    ledger_forget_marks(ledger, ledger->n_passed);
}

static bool mark_covers(const LedgerMark *mark, uint64_t number)
{
    return number >= mark->first && number < mark->end;
}

/* The first ones of a queue that was full before are dropped until there is
 * room, when frame @room comes: how many? The others are the last ones. */
static uint64_t mark_head(const LedgerMark *mark, uint64_t room)
{
    return mark->was_full ? MIN(mark->dropped, room - MIN(room, mark->first))
                          : 0;
}

/* Had it become full just before the stop made room? A frame or two that the
 * last sample found before they were counted may be among the dropped ones. */
static bool mark_became_full(const LedgerMark *mark, uint64_t number)
{
    return !mark->was_full && mark->room_most != UINT64_MAX &&
           number + LEDGER_UNCOUNTED_MAX >= mark->first && number < mark->end &&
           number + mark->dropped >= mark->room_least &&
           number < mark->room_most;
}

static bool mark_has_dropped(const LedgerMark *mark, uint64_t number)
{
    if (mark->stands) {
        return number >= mark->begin && number - mark->begin < mark->dropped;
    }
    return number - mark->first < mark_head(mark, mark->room_most) ||
           mark->end - number <=
               mark->dropped - mark_head(mark, mark->room_least);
}

bool ledger_may_be_dropped(const Ledger *ledger, uint64_t number)
{
    for (unsigned i = 0; i < ledger->n_marks; i++) {
        const LedgerMark *mark = &ledger->marks[i];

        if (number >= MIN(mark->least, mark->first) && number < mark->end) {
            return true;
        }
    }
    return false;
}

bool ledger_was_dropped(const Ledger *ledger, uint64_t number)
{
    for (unsigned i = 0; i < ledger->n_marks; i++) {
        const LedgerMark *mark = &ledger->marks[i];

        /* One of them may begin within the one before it. */
        if (mark_became_full(mark, number) ||
            (mark_covers(mark, number) && (ledger->multi || mark->vague ||
                                           mark_has_dropped(mark, number)))) {
            return true;
        }
    }
    return false;
}
