// Which thread runs, and when: mutexes, conditions, joins, signals, clocks.
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "virtual.h"

#define THREADS_MAX 64
#define STEP_NS 1000
#define CLOCK_READ_NS 50
// A long computation without a pause is interrupted after so many steps, so that the driver sees what was sent.
#define STEPS_UNASKED 4096
#define NS_PER_SECOND UINT64_C(1000000000)

#define PARK_STACK 16384

struct thread {
    bool is_used, is_finished;
    pthread_t handle;
    atomic_int turn;      // 1: this thread has the token; with fibers: its kernel thread goes on
    atomic_int is_parked; // with fibers: the kernel thread sleeps on `park_stack`
    void *stack;          // with fibers: where the thread goes on
    bool is_waiting;
    bool (*is_ready)(const void *context);
    const void *context;
    uint64_t deadline;
    const void *condition; // it waits for
    bool is_woken;
    uint64_t cpu_time;
    uint64_t blocked; // signals
    uint64_t awaited; // signals, by sigtimedwait
    int received;     // by sigtimedwait
    void *(*run)(void *context);
    void *run_context;
};

struct machine machine;
static struct thread threads[THREADS_MAX];
static int thread_count = 1;
static __thread int self;
static int switches_forbidden;
static int starved; // by POLICY_STARVE
static uint64_t pending_signals;
static pthread_key_t end_key;
static pid_t process_id;

// --- the token ------------------------------------------------------------------------------------
// A switch by futex costs two system calls and the kernel's scheduler. With fibers, all threads run on the kernel's main
// thread instead, each on its own stack and with its own thread-local memory, whose address is in the register FS; the
// other kernel threads sleep until their thread ends. The choices are the same in both ways.

static bool has_fibers;
static int leaving = -1; // a thread that has ended: its kernel thread is to go on
static char park_stacks[THREADS_MAX][PARK_STACK] __attribute__((aligned(64)));

static long futex(atomic_int *word, int operation, int value)
{
#ifdef __x86_64__
    long result; // without the C library: a parked kernel thread shares `errno` with its fiber
    register long timeout __asm__("r10") = 0;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(SYS_futex), "D"(word), "S"((long)operation), "d"((long)value),
                       "r"(timeout)
                     : "rcx", "r11", "memory");
    return result;
#else
    return syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
#endif
}

static void set_and_wake(atomic_int *word)
{
    atomic_store(word, 1);
    futex(word, FUTEX_WAKE_PRIVATE, 1);
}

static void await_word(atomic_int *word)
{
    while (atomic_load(word) == 0)
        futex(word, FUTEX_WAIT_PRIVATE, 0);
}

#ifdef __x86_64__
// fiber_switch(&stack of this one, stack of the next, FS of the next);
// fiber_park(&stack of this one, another stack's top, thread): park_thread() runs on the other stack until it returns.
void fiber_switch(void **from, void *to, pthread_t next);
void fiber_park(void **from, void *other, struct thread *thread);
void park_thread(struct thread *thread);
__asm__(".text\n"
        "fiber_switch:\n"
        "    push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
        "    mov %rsp, (%rdi)\n"
        "    mov %rsi, %rsp\n"
        "    wrfsbase %rdx\n"
        "    pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n"
        "    ret\n"
        "fiber_park:\n"
        "    push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
        "    mov %rsp, (%rdi)\n"
        "    mov %rdi, %rbx\n"
        "    mov %rsi, %rsp\n"
        "    mov %rdx, %rdi\n"
        "    call park_thread\n"
        "    mov (%rbx), %rsp\n"
        "    pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n"
        "    ret\n");

__attribute__((no_stack_protector)) void park_thread(struct thread *thread)
{
    set_and_wake(&thread->is_parked);
    await_word(&thread->turn);
}

static bool fibers_work(void)
{
    return (getauxval(AT_HWCAP2) & 2) != 0; // HWCAP2_FSGSBASE
}
#else
static void fiber_switch(void **from, void *to, pthread_t next)
{
    (void)from, (void)to, (void)next;
}

static void fiber_park(void **from, void *other, struct thread *thread)
{
    (void)from, (void)other, (void)thread;
}

static bool fibers_work(void)
{
    return false;
}
#endif

// Called by a thread that goes on.
static void let_ended_thread_leave(void)
{
    if (leaving < 0)
        return;
    int ended = leaving;
    leaving = -1;
    set_and_wake(&threads[ended].turn);
}

static void await_turn(void)
{
    await_word(&threads[self].turn);
    atomic_store(&threads[self].turn, 0);
}

static void hand_over(int next)
{
    struct thread *me = &threads[self];

    if (!has_fibers) {
        set_and_wake(&threads[next].turn);
        if (!me->is_finished)
            await_turn();
        return;
    }
    if (me->is_finished)
        leaving = self;
    fiber_switch(&me->stack, threads[next].stack, threads[next].handle);
    if (!me->is_finished) // otherwise this is the kernel thread, which ends
        let_ended_thread_leave();
}

static bool signal_is_due(void)
{
    return self == 0 && (pending_signals & ~threads[0].blocked) != 0;
}

static bool can_run(const struct thread *thread)
{
    if (!thread->is_used || thread->is_finished)
        return false;
    return !thread->is_waiting || thread->is_woken || thread->deadline <= machine.now ||
           (thread->is_ready != NULL && thread->is_ready(thread->context)) ||
           (thread == &threads[0] && (pending_signals & ~thread->blocked) != 0);
}

static uint64_t next_deadline(void)
{
    uint64_t earliest = NEVER;

    for (int i = 0; i < thread_count; i++)
        if (threads[i].is_used && !threads[i].is_finished && threads[i].is_waiting &&
            threads[i].deadline < earliest)
            earliest = threads[i].deadline;
    return earliest;
}

// Nothing can run: time passes until something can, or the driver says what happens.
static void pass_time(void)
{
    uint64_t deadline = next_deadline(), event = next_event();
    uint64_t earliest = deadline < event ? deadline : event;

    if (machine.needs_attention) {
        turn('a');
    } else if (earliest > machine.horizon) {
        if (machine.now < machine.horizon)
            machine.now = machine.horizon;
        turn('i');
    } else if (machine.now < earliest) {
        machine.now = earliest;
    }
}

// The next thread, -1: none can run.
static int choose_thread(void)
{
    int candidates[THREADS_MAX], count = 0;

    for (int i = 0; i < thread_count; i++) {
        int index = (self + 1 + i) % thread_count;
        if (can_run(&threads[index]))
            candidates[count++] = index;
    }
    if (count == 0)
        return -1;
    if (machine.policy == POLICY_STARVE)
        for (int i = 0; count > 1 && i < count; i++)
            if (candidates[i] == starved)
                candidates[i] = candidates[--count];
    return machine.policy == POLICY_ROUND_ROBIN ? candidates[0]
                                                : candidates[choose((uint64_t)count)];
}

static void schedule(void)
{
    int next;

    for (;;) {
        handle_events();
        next = choose_thread();
        if (next >= 0)
            break;
        pass_time();
    }
    if (next != self) {
        if (switches_forbidden > 0)
            give_up("a thread waits inside pthread_once", self);
        hand_over(next);
    }
}

static struct {
    struct sigaction action;
    bool is_set;
} handlers[NSIG];

static void run_signal_handlers(void)
{
    while (signal_is_due()) {
        int number = __builtin_ctzll(pending_signals & ~threads[0].blocked);
        pending_signals &= ~(UINT64_C(1) << number);
        void (*handler)(int) = handlers[number].action.sa_handler;
        if (!handlers[number].is_set || handler == SIG_DFL) {
            flush_reports('k');
            syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
        } else if (handler != SIG_IGN) {
            handler(number);
        }
    }
}

static void set_up(void);

void step(void)
{
    int code = errno; // several functions that step leave it alone

    if (!machine.is_on)
        set_up();
    machine.steps++;
    machine.now += STEP_NS;
    threads[self].cpu_time += STEP_NS;
    if (machine.steps >= machine.kill_at) {
        flush_reports('k');
        syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    }
    if (machine.steps - machine.asked_at_step >= STEPS_UNASKED &&
        machine.now > machine.horizon + NS_PER_SECOND)
        turn('b');
    else if (machine.needs_attention && machine.steps - machine.asked_at_step >= STEPS_UNASKED)
        turn('a');
    handle_events();
    if (switches_forbidden == 0 && machine.policy != POLICY_ROUND_ROBIN &&
        chance(machine.switch_one_in))
        schedule();
    run_signal_handlers();
    errno = code;
}

bool wait_until(bool (*is_ready)(const void *context), const void *context, uint64_t deadline)
{
    struct thread *me = &threads[self];
    int code = errno;

    me->is_ready = is_ready;
    me->context = context;
    me->deadline = deadline;
    me->is_woken = false;
    me->is_waiting = true;
    schedule();
    me->is_waiting = false;
    me->deadline = NEVER;
    bool is_done = me->is_woken || (is_ready != NULL && is_ready(context));
    run_signal_handlers();
    errno = code;
    return is_done;
}

void sleep_for(uint64_t ns)
{
    uint64_t until = machine.now + ns;

    while (machine.now < until)
        wait_until(NULL, NULL, until);
}

// --- starting -------------------------------------------------------------------------------------

static uint64_t number_of(const char *name)
{
    const char *text = getenv(name);

    return text == NULL ? 0 : strtoull(text, NULL, 10);
}

// A thread's end: after the destructors of other keys, so that they, too, run while it has the token.
static void end_thread(void *round)
{
    if ((intptr_t)round < PTHREAD_DESTRUCTOR_ITERATIONS) {
        pthread_setspecific(end_key, (void *)((intptr_t)round + 1));
        return;
    }
    threads[self].is_finished = true;
    schedule();
}

static void set_up(void)
{
    if (machine.is_on)
        return;
    machine.is_on = true;
    machine.now = number_of("VIRTUAL_NOW");
    machine.boot = number_of("VIRTUAL_BOOT");
    machine.leap = (int64_t)number_of("VIRTUAL_LEAP");
    machine.kill_at = NEVER;
    has_fibers = number_of("VIRTUAL_FIBERS") != 0 && fibers_work();
    process_id = (pid_t)number_of("VIRTUAL_PID");
    machine.policy = (enum policy)number_of("VIRTUAL_POLICY");
    machine.sync_time = number_of("VIRTUAL_SYNC_NS");
    machine.real_sync = number_of("VIRTUAL_REAL_SYNC") != 0;
    seed_random(number_of("VIRTUAL_SEED"));
    starved = (int)choose(6);
    machine.switch_one_in = 2U << (choose(4) * 2); // 2 to 128
    machine.part_one_in = 4U << (choose(4) * 2);   // 4 to 256
    threads[0] = (struct thread){.is_used = true, .handle = pthread_self(), .deadline = NEVER};
    pthread_key_create(&end_key, end_thread);
    channel_set_up((int)number_of("VIRTUAL_CHANNEL"));
}

__attribute__((constructor)) static void begin(void)
{
    set_up();
}

__attribute__((destructor)) static void end(void)
{
    flush_reports('e');
}

// Seeds are made of it.
pid_t getpid(void)
{
    set_up();
    return process_id;
}

void _exit(int status)
{
    flush_reports('e');
    syscall(SYS_exit_group, status);
    __builtin_unreachable();
}

// --- threads --------------------------------------------------------------------------------------

static void *run_virtual_thread(void *context)
{
    struct thread *me = context;

    self = (int)(me - threads);
    if (has_fibers) {
        fiber_park(&me->stack, park_stacks[self] + PARK_STACK, me);
        let_ended_thread_leave();
    } else {
        await_turn();
    }
    pthread_setspecific(end_key, (void *)1);
    return me->run(me->run_context);
}

static int free_place(void)
{
    for (int i = 1; i < THREADS_MAX; i++)
        if (!threads[i].is_used)
            return i;
    give_up("too many threads", THREADS_MAX);
}

int pthread_create(pthread_t *handle, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *context)
{
    REAL(pthread_create);
    step();
    int index = free_place();
    struct thread *thread = &threads[index];
    *thread =
        (struct thread){.is_used = true, .deadline = NEVER, .run = run, .run_context = context};
    thread->blocked = threads[self].blocked;
    int result = real_pthread_create(handle, attributes, run_virtual_thread, thread);
    thread->handle = *handle;
    thread->is_used = result == 0;
    if (result == 0 && has_fibers)
        await_word(&thread->is_parked);
    if (index >= thread_count)
        thread_count = index + 1;
    return result;
}

static bool thread_has_finished(const void *context)
{
    return ((const struct thread *)context)->is_finished;
}

static struct thread *thread_by_handle(pthread_t handle)
{
    for (int i = 0; i < thread_count; i++)
        if (threads[i].is_used && pthread_equal(threads[i].handle, handle))
            return &threads[i];
    give_up("an unknown thread", 0);
}

int pthread_join(pthread_t handle, void **result)
{
    REAL(pthread_join);
    step();
    struct thread *thread = thread_by_handle(handle);
    while (!wait_until(thread_has_finished, thread, NEVER))
        ;
    int code = real_pthread_join(handle, result);
    thread->is_used = false;
    return code;
}

// --- locks: the real ones, taken by trying --------------------------------------------------------

static void wake_all(const void *condition)
{
    for (int i = 0; i < thread_count; i++)
        if (threads[i].is_waiting && threads[i].condition == condition)
            threads[i].is_woken = true;
}

// Until somebody wakes what waits for the address. False: the deadline.
static bool wait_at(const void *address, uint64_t deadline)
{
    bool is_woken;

    do {
        threads[self].condition = address;
        is_woken = wait_until(NULL, NULL, deadline);
        threads[self].condition = NULL;
    } while (!is_woken && machine.now < deadline); // a signal came
    return is_woken;
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    REAL(pthread_mutex_trylock);
    step();
    int result;
    while ((result = real_pthread_mutex_trylock(mutex)) == EBUSY)
        wait_at(mutex, NEVER);
    return result;
}

static int unlock(pthread_mutex_t *mutex)
{
    REAL(pthread_mutex_unlock);
    int result = real_pthread_mutex_unlock(mutex);
    wake_all(mutex);
    return result;
}

int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    int result = unlock(mutex);
    step(); // between this and what the caller does next, another thread may run
    return result;
}

int pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
    REAL(pthread_rwlock_tryrdlock);
    step();
    int result;
    while ((result = real_pthread_rwlock_tryrdlock(lock)) == EBUSY)
        wait_at(lock, NEVER);
    return result;
}

int pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
    REAL(pthread_rwlock_trywrlock);
    step();
    int result;
    while ((result = real_pthread_rwlock_trywrlock(lock)) == EBUSY)
        wait_at(lock, NEVER);
    return result;
}

static uint64_t ns_of(const struct timespec *time)
{
    return (uint64_t)time->tv_sec * NS_PER_SECOND + (uint64_t)time->tv_nsec;
}

int pthread_rwlock_timedrdlock(pthread_rwlock_t *lock, const struct timespec *until)
{
    REAL(pthread_rwlock_tryrdlock);
    step();
    uint64_t deadline = ns_of(until) - (uint64_t)machine.leap;
    int result;
    while ((result = real_pthread_rwlock_tryrdlock(lock)) == EBUSY)
        if (!wait_at(lock, deadline))
            return ETIMEDOUT;
    return result;
}

int pthread_rwlock_unlock(pthread_rwlock_t *lock)
{
    REAL(pthread_rwlock_unlock);
    int result = real_pthread_rwlock_unlock(lock);
    wake_all(lock);
    return result;
}

// Another thread must not come into the same initialization while it runs: it would wait in the kernel.
int pthread_once(pthread_once_t *once, void (*run)(void))
{
    REAL(pthread_once);
    if (!machine.is_on)
        return real_pthread_once(once, run);
    switches_forbidden++;
    int result = real_pthread_once(once, run);
    switches_forbidden--;
    return result;
}

// --- conditions -----------------------------------------------------------------------------------

#define CONDITIONS_MAX 256
static struct {
    const pthread_cond_t *condition;
    clockid_t clock;
} condition_clocks[CONDITIONS_MAX];

static const pthread_cond_t destroyed; // its place is free, but not the end of the list

static clockid_t *clock_of(const pthread_cond_t *condition)
{
    int place = -1;

    for (int i = 0; i < CONDITIONS_MAX; i++) {
        const pthread_cond_t *known = condition_clocks[i].condition;
        if (known == condition)
            return &condition_clocks[i].clock;
        if (place < 0 && (known == NULL || known == &destroyed))
            place = i;
        if (known == NULL)
            break;
    }
    if (place < 0)
        give_up("too many conditions", CONDITIONS_MAX);
    condition_clocks[place].condition = condition;
    condition_clocks[place].clock = CLOCK_REALTIME;
    return &condition_clocks[place].clock;
}

int pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes)
{
    clockid_t clock = CLOCK_REALTIME;

    memset(condition, 0, sizeof *condition);
    if (attributes != NULL)
        pthread_condattr_getclock(attributes, &clock);
    *clock_of(condition) = clock;
    return 0;
}

int pthread_cond_destroy(pthread_cond_t *condition)
{
    for (int i = 0; i < CONDITIONS_MAX; i++)
        if (condition_clocks[i].condition == condition)
            condition_clocks[i].condition = &destroyed;
    return 0;
}

static int wait_for_condition(pthread_cond_t *condition, pthread_mutex_t *mutex, uint64_t deadline)
{
    step();
    unlock(mutex); // and wait, with nothing in between
    bool is_woken = wait_at(condition, deadline);
    pthread_mutex_lock(mutex);
    return is_woken ? 0 : ETIMEDOUT;
}

int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    return wait_for_condition(condition, mutex, NEVER);
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                           const struct timespec *until)
{
    uint64_t deadline = ns_of(until);

    deadline = *clock_of(condition) == CLOCK_MONOTONIC ? deadline + machine.boot
                                                       : deadline - (uint64_t)machine.leap;
    return wait_for_condition(condition, mutex, deadline);
}

int pthread_cond_signal(pthread_cond_t *condition)
{
    int waiting[THREADS_MAX], count = 0;

    step();
    for (int i = 0; i < thread_count; i++)
        if (threads[i].is_waiting && threads[i].condition == condition && !threads[i].is_woken)
            waiting[count++] = i;
    if (count > 0)
        threads[waiting[choose((uint64_t)count)]].is_woken = true;
    return 0;
}

int pthread_cond_broadcast(pthread_cond_t *condition)
{
    step();
    wake_all(condition);
    return 0;
}

// --- signals --------------------------------------------------------------------------------------
// SIGHUP, SIGINT and SIGTERM come from the driver only, so that the real ones still end the process.

static bool is_virtual_signal(int number)
{
    return number == SIGHUP || number == SIGINT || number == SIGTERM;
}

static uint64_t bits_of(const sigset_t *set)
{
    uint64_t bits = 0;

    for (int number = 1; number < 64; number++)
        if (is_virtual_signal(number) && sigismember(set, number) == 1)
            bits |= UINT64_C(1) << number;
    return bits;
}

void raise_signal(int number)
{
    for (int i = 0; i < thread_count; i++) {
        struct thread *thread = &threads[i];
        if (thread->is_waiting && !thread->is_woken && (thread->awaited >> number & 1) != 0) {
            thread->received = number;
            thread->is_woken = true;
            return;
        }
    }
    pending_signals |= UINT64_C(1) << number;
}

int sigaction(int number, const struct sigaction *action, struct sigaction *before)
{
    REAL(sigaction);
    if (!is_virtual_signal(number))
        return real_sigaction(number, action, before);
    if (before != NULL)
        *before = handlers[number].action;
    if (action != NULL) {
        handlers[number].action = *action;
        handlers[number].is_set = true;
    }
    return 0;
}

static void change_mask(int how, const sigset_t *set)
{
    uint64_t *blocked = &threads[self].blocked;

    if (set == NULL)
        return;
    if (how == SIG_BLOCK)
        *blocked |= bits_of(set);
    else if (how == SIG_UNBLOCK)
        *blocked &= ~bits_of(set);
    else
        *blocked = bits_of(set);
}

int pthread_sigmask(int how, const sigset_t *set, sigset_t *before)
{
    REAL(pthread_sigmask);
    if (!machine.is_on)
        set_up();
    change_mask(how, set);
    int result = real_pthread_sigmask(how, set, before);
    run_signal_handlers();
    return result;
}

int sigprocmask(int how, const sigset_t *set, sigset_t *before)
{
    return pthread_sigmask(how, set, before);
}

int sigpending(sigset_t *set)
{
    sigemptyset(set);
    for (int number = 1; number < 64; number++)
        if ((pending_signals >> number & 1) != 0)
            sigaddset(set, number);
    return 0;
}

int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
    struct thread *me = &threads[self];
    uint64_t wanted = bits_of(set);

    (void)info;
    step();
    if ((pending_signals & wanted) != 0) {
        int number = __builtin_ctzll(pending_signals & wanted);
        pending_signals &= ~(UINT64_C(1) << number);
        return number;
    }
    me->received = 0;
    me->awaited = wanted;
    wait_until(NULL, NULL, machine.now + ns_of(timeout));
    me->awaited = 0;
    if (me->received != 0)
        return me->received;
    errno = EAGAIN;
    return -1;
}

int pthread_kill(pthread_t handle, int number)
{
    struct thread *thread = thread_by_handle(handle);

    step();
    if (thread->is_waiting && (thread->awaited >> number & 1) != 0) {
        thread->received = number;
        thread->is_woken = true;
    }
    return 0;
}

int pause(void)
{
    for (;;)
        wait_until(NULL, NULL, NEVER);
}

// --- clocks ---------------------------------------------------------------------------------------

#define CPU_CLOCK_BASE 0x40000000

int pthread_getcpuclockid(pthread_t handle, clockid_t *clock)
{
    *clock = (clockid_t)(CPU_CLOCK_BASE + (thread_by_handle(handle) - threads));
    return 0;
}

// Before the machine is there, the time is its beginning: a sanitizer's allocator asks, which cannot be used then.
static uint64_t read_virtual_clock(clockid_t clock)
{
    if (!machine.is_on)
        return NS_PER_SECOND;
    machine.now += CLOCK_READ_NS;
    threads[self].cpu_time += CLOCK_READ_NS;
    if (clock >= CPU_CLOCK_BASE && clock < CPU_CLOCK_BASE + THREADS_MAX)
        return threads[clock - CPU_CLOCK_BASE].cpu_time;
    if (clock == CLOCK_THREAD_CPUTIME_ID || clock == CLOCK_PROCESS_CPUTIME_ID)
        return threads[self].cpu_time;
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
        return machine.now + (uint64_t)machine.leap;
    return machine.now - machine.boot;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    uint64_t ns = read_virtual_clock(clock);

    time->tv_sec = (time_t)(ns / NS_PER_SECOND);
    time->tv_nsec = (long)(ns % NS_PER_SECOND);
    return 0;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    uint64_t ns = read_virtual_clock(CLOCK_REALTIME);

    (void)zone;
    time->tv_sec = (time_t)(ns / NS_PER_SECOND);
    time->tv_usec = (suseconds_t)(ns % NS_PER_SECOND / 1000);
    return 0;
}

time_t time(time_t *result)
{
    time_t seconds = (time_t)(read_virtual_clock(CLOCK_REALTIME) / NS_PER_SECOND);

    if (result != NULL)
        *result = seconds;
    return seconds;
}

int nanosleep(const struct timespec *length, struct timespec *rest)
{
    (void)rest;
    step();
    sleep_for(ns_of(length));
    return 0;
}

int getrusage(__rusage_who_t who, struct rusage *usage)
{
    uint64_t sum = 0;

    (void)who;
    for (int i = 0; i < thread_count; i++)
        sum += threads[i].cpu_time;
    memset(usage, 0, sizeof *usage);
    usage->ru_utime.tv_sec = (time_t)(sum / NS_PER_SECOND);
    usage->ru_utime.tv_usec = (suseconds_t)(sum % NS_PER_SECOND / 1000);
    return 0;
}
