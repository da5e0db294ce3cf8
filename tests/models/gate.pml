/* The protocol of base/gate.c, as spin sees it: sequentially consistent, every interleaving of its atomic operations. (The memory orderings
 * are tests/models/ring.c's business.) OPENERS threads each make one condition true and open the gate; each of WAITERS threads waits
 * until all conditions are true. The futex is the kernel's: it compares and sleeps in one step, and a wake takes all sleepers.
 *
 * A waiter that sleeps for ever is caught, and one that goes round for ever as well: both are acceptance cycles of `everyone`.
 * Mutants, which must fail: NO_WAKE, NO_RECHECK (sleeps without looking again after arming), OPEN_BEFORE_PUBLISH, CLEAR_AFTER_WAKE,
 * NO_ADD (an opening is not counted), KEY_LATE (the key is read after looking). The last two need two waiters, of whom one arms again; CLEAR_AFTER_WAKE needs two openers. */
#ifndef OPENERS
#define OPENERS 1
#endif
#ifndef WAITERS
#define WAITERS 1
#endif

#define ALL ((1 << OPENERS) - 1)

byte armed;               /* bit 0 of the word */
byte openings;            /* its other bits */
byte published;           /* one bit an opener */
bool asleep[WAITERS];
byte finished;

inline wake_all()
{
    atomic {
        byte w;
        for (w : 0 .. WAITERS - 1) { asleep[w] = false }
    }
}

proctype opener(byte me)
{
    bool was_armed;
#ifndef OPEN_BEFORE_PUBLISH
    published = published | (1 << me);
#endif
#ifdef NO_ADD
    was_armed = armed;
#else
    d_step { was_armed = armed; openings++ }
#endif
    if
    :: was_armed ->
#ifndef CLEAR_AFTER_WAKE
       armed = 0;
#endif
#ifndef NO_WAKE
       wake_all();
#endif
#ifdef CLEAR_AFTER_WAKE
       armed = 0;
#endif
       skip
    :: else
    fi;
#ifdef OPEN_BEFORE_PUBLISH
    published = published | (1 << me);
#endif
}

proctype waiter(byte me)
{
    byte key;
    do
    :: d_step { armed = 1; key = openings };
#ifndef NO_RECHECK
       if
       :: published == ALL -> break
       :: else
       fi;
#endif
#ifdef KEY_LATE
       key = openings;
#endif
       atomic {
           if
           :: armed && key == openings -> asleep[me] = true
           :: else
           fi
       }
       !asleep[me];
#ifdef NO_RECHECK
       if
       :: published == ALL -> break
       :: else
       fi;
#endif
    od;
    finished++
}

init {
    byte i;
    atomic {
        for (i : 0 .. OPENERS - 1) { run opener(i) }
        for (i : 0 .. WAITERS - 1) { run waiter(i) }
    }
}

ltl everyone { <> (finished == WAITERS) }
