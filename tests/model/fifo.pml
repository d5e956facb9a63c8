// SPDX-License-Identifier: MIT
/*
 * The FIFO event queues (hypervisor/event/fifo.c), for spin.
 *
 * Two CPUs of the hypervisor raise events, change queues, close and bind ports; one or two vcpus
 * of a guest that behaves take events off their queues, and one of its threads masks and unmasks.
 * Everything else is chosen by spin, within BUDGETs that keep the state space small.
 *
 * Checked in every order of steps: the hypervisor never has to give up on the tail of a queue, the
 * guest finds on its queues what was linked, in that order, and when all is quiet no event is left:
 * none pending that nobody masks, none linked, no bit ready; no process waits for ever.
 *
 * BUG=1..5 puts a mistake in, which is then to be found (tests/model/run).
 */
#ifndef BUG
#define BUG 0
#endif
#ifndef VCPUS
#define VCPUS 1 /* two queues of one vcpu; 2: one queue each of two */
#endif
#ifndef SENDS
#define SENDS 2 /* by one CPU */
#endif
#ifndef MORE
#define MORE 1 /* by the other */
#endif
#ifndef MOVES
#define MOVES 1 /* a port's priority, or vcpu, is changed so often */
#endif
#ifndef CLOSES
#define CLOSES 0
#endif
#ifndef MASKS
#define MASKS 0
#endif

#define PORTS  3 /* 1 .. PORTS; 0 is none */
#define QUEUES 2
#define TRIES  5

/* An event word. */
#define PENDING 1
#define MASKED  2
#define LINKED  4
#define BUSY    8
#define FLAGS   15
#define LINK(w) ((w) >> 4)

#if VCPUS == 1
#define VCPU(q) 0
#define BIT(q)  (1 << (q))
#else
#define VCPU(q) (q)
#define BIT(q)  1
#endif

byte word[PORTS + 1];
byte head[QUEUES]; /* of the control blocks */
byte ready[VCPUS];
bool upcall[VCPUS];

/* The hypervisor's own. */
bool chn_lock[PORTS + 1];
bool open[PORTS + 1];
byte queue[PORTS + 1];      /* which it joins next */
byte last_queue[PORTS + 1]; /* which it joined last */
bool queue_lock[QUEUES];
byte tail[QUEUES];

/* For the checks: the order of linking. */
byte stamp[PORTS + 1], nr_linked[QUEUES], nr_taken[QUEUES];
#define STAMP(port)                                                                                \
    stamp[port] = nr_linked[q];                                                                    \
    nr_linked[q] = nr_linked[q] + 1

byte busy = 0; /* processes that are not done yet; the guest's vcpus aside */

inline lock(l)
{
    atomic { !l -> l = true }
}

inline unlock(l)
{
    l = false
}

inline lock_queues(a, b)
{
#if BUG == 4 /* the lock of the queue it joins alone */
    lock(queue_lock[a])
#else
    if
    :: a <= b -> lock(queue_lock[a])
    :: else -> lock(queue_lock[b])
    fi;
    if
    :: a < b -> lock(queue_lock[b])
    :: a > b -> lock(queue_lock[a])
    :: else
    fi
#endif
}

inline unlock_queues(a, b)
{
    d_step {
        queue_lock[a] = false;
#if BUG != 4
        queue_lock[b] = false;
#endif
    }
}

/* linked: port was put behind the event t; false: t is on no queue any more. */
inline append(t, port)
{
    tries = 0;
    w = word[t];
    do
    :: !(w & LINKED) -> break
    :: else ->
        assert(tries < TRIES);
        atomic {
            if
#if BUG == 2 /* stored without comparing */
            :: true ->
#else
            :: word[t] == w ->
#endif
                word[t] = (w & (PENDING | MASKED | LINKED)) | (port << 4);
                linked = true;
                STAMP(port);
                w = 0;
                break
            :: else ->
                word[t] = word[t] | BUSY;
                w = word[t];
                tries++
            fi
        }
    od;
    if
    :: w & BUSY -> word[t] = word[t] & ~BUSY
    :: else
    fi;
    w = 0;
    tries = 0
}

/* With the port's channel locked. */
inline link_event(port)
{
    q = queue[port];
    last = last_queue[port];
    linked = false;
    lock_queues(q, last);
    atomic {
        old = word[port];
        word[port] = old | LINKED;
    }
    if
    :: old & LINKED -> unlock_queues(q, last)
    :: else ->
#if BUG != 1 /* it goes on counting as the tail of the queue that it was on */
        if
        :: tail[last] == port -> tail[last] = 0
        :: else
        fi;
#endif
        last_queue[port] = q;
        if
        :: tail[q] -> append(tail[q], port)
        :: else
        fi;
#if BUG == 3 /* the guest is told before there is a head */
        if
        :: !linked -> ready[VCPU(q)] = ready[VCPU(q)] | BIT(q); upcall[VCPU(q)] = true
        :: else
        fi;
#endif
        if
        :: !linked -> atomic { head[q] = port; STAMP(port) }
        :: else
        fi;
        tail[q] = port;
        unlock_queues(q, last);
        if
        :: !linked ->
            atomic {
                old = ready[VCPU(q)];
                ready[VCPU(q)] = old | BIT(q);
            }
            if
            :: !(old & BIT(q)) -> upcall[VCPU(q)] = true
            :: else
            fi
        :: else
        fi
    fi;
    d_step { q = 0; last = 0; linked = false; old = 0 }
}

inline raise(port)
{
    lock(chn_lock[port]);
    if
    :: open[port] ->
        atomic {
            old = word[port];
            word[port] = old | PENDING;
        }
        if
        :: !(old & (MASKED | LINKED)) -> link_event(port)
        :: else -> old = 0
        fi
    :: else
    fi;
    unlock(chn_lock[port])
}

inline unmask_call(port)
{
    lock(chn_lock[port]);
    atomic {
        old = word[port];
        word[port] = old & ~MASKED;
    }
    if
    :: (old & PENDING) && !(old & LINKED) -> link_event(port)
    :: else -> old = 0
    fi;
    unlock(chn_lock[port])
}

inline close_port(port)
{
    lock(chn_lock[port]);
    open[port] = false;
    queue[port] = 0;
    word[port] = word[port] & ~PENDING;
    unlock(chn_lock[port])
}

/* A free port is taken only if the guest has it on no queue. */
inline bind_port(port)
{
    if
    :: word[port] & LINKED
    :: else ->
        lock(chn_lock[port]);
#if BUG == 5 /* it forgets where the port may be the tail */
        last_queue[port] = queue[port];
#endif
        open[port] = true;
        unlock(chn_lock[port])
    fi
}

#define LOCALS byte q, last, old, w, tries, p, budget; bool linked

proctype cpu(byte sends; byte moves; byte closes)
{
    LOCALS;

    do
    :: sends > 0 ->
        sends--;
        select(p : 1 .. PORTS);
        raise(p)
    :: moves > 0 ->
        moves--;
        select(p : 1 .. PORTS);
        lock(chn_lock[p]);
        queue[p] = 1 - queue[p];
        unlock(chn_lock[p])
    :: closes > 0 ->
        closes--;
        p = 1;
        close_port(p);
        bind_port(p)
    :: sends == 0 && moves == 0 && closes == 0 -> break
    od;
    p = 0;
    busy--
}

/* A thread of the guest that masks a port and lets it go again. */
proctype masker(byte masks)
{
    LOCALS;

    do
    :: masks > 0 ->
        masks--;
        p = 1;
        word[p] = word[p] | MASKED;
        do
        :: atomic { !(word[p] & BUSY) -> word[p] = word[p] & ~MASKED; break }
        od;
        if
        :: word[p] & PENDING -> unmask_call(p)
        :: else
        fi
    :: else -> break
    od;
    p = 0;
    busy--
}

/* The upcall of a vcpu. */
proctype guest(byte v)
{
    byte next[QUEUES], mine, q, p, w;

    do
    :: upcall[v] ->
        upcall[v] = false;
        atomic { mine = ready[v]; ready[v] = 0 }
        do
        :: mine ->
            d_step {
                if
                :: VCPUS == 2 -> q = v
                :: VCPUS == 1 && (mine & 1) -> q = 0
                :: else -> q = 1
                fi;
                p = next[q]
            }
            if
            :: !p -> p = head[q]
            :: else
            fi;
            assert(p >= 1 && p <= PORTS);
            /* One exchange: LINKED and the link go together. */
            atomic {
                w = word[p];
                assert(w & LINKED);
                word[p] = w & (PENDING | MASKED | BUSY);
                next[q] = LINK(w);
                assert(last_queue[p] == q && stamp[p] == nr_taken[q]);
                nr_taken[q] = nr_taken[q] + 1;
            }
            if
            :: !next[q] -> mine = mine & ~BIT(q)
            :: else
            fi;
            w = word[p];
            if
            :: (w & PENDING) && !(w & MASKED) -> word[p] = word[p] & ~PENDING
            :: else
            fi;
            atomic { mine = mine | ready[v]; ready[v] = 0; w = 0; p = 0; q = 0 }
        :: else -> break
        od
    :: atomic { busy == 0 && !upcall[v] -> break }
    od;
    assert(ready[v] == 0 && next[0] == 0 && next[1] == 0);
    p = 1;
    do
    :: p <= PORTS ->
        if
        :: VCPUS == 1 || last_queue[p] == v ->
            assert(!(word[p] & LINKED));
            assert(!(word[p] & BUSY));
            assert(!(word[p] & PENDING) || (word[p] & MASKED))
        :: else
        fi;
        p++
    :: else -> break
    od
}

init
{
    byte i;

    atomic {
        for (i : 1 .. PORTS) { open[i] = true }
        queue[1] = 1;
        queue[2] = 1;
        busy = 3;
        run cpu(SENDS, MOVES, 0);
        run cpu(MORE, 0, CLOSES);
        run masker(MASKS);
        for (i : 0 .. VCPUS - 1) { run guest(i) }
    }
}
