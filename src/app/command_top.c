// ghatrace top: what is wrong with the pools, the queue and the running jobs, refreshed continuously.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "cli.h"
#include "ghatrace/term/answers.h"
#include "ghatrace/term/top.h"
#include "remote.h"

#define JOBS_ON_SCREEN 300 // read for each picture, to make rows of those that say the same
#define JOBS_ONCE 1000     // for one picture: also the most that the API lists
#define INTERVAL_LEAST (100 * NS_PER_MS)
#define ARENA_BLOCK_BYTES ((size_t)64 * 1024)

enum { FLAG_ONCE, FLAG_INTERVAL, FLAG_REMOTE };

static const struct flag flags[] = {
    [FLAG_ONCE] = {"once", NULL, "print the open jobs now, and end"},
    [FLAG_INTERVAL] = {"interval", "TIME", "how often the picture is refreshed, 1s if not given"},
    [FLAG_REMOTE] = REMOTE_FLAGS,
};

struct screen {
    struct store *store;   // NULL: the daemon is asked
    struct remote *remote; // NULL: the store is read
    struct pools_cache cache;
    struct pools_view_settings pools;
    struct arena arenas[2]; // of `top`, and of the next one while it is read
    size_t current;         // the first of these
    struct top top;         // what was read last
    bool has_top;
    char trouble[sizeof(struct error) + 64]; // why it could not be read again
    struct arena scratch;                    // of one picture
    struct buffer text;
    struct buffer frame;
    duration_ns interval;
    size_t jobs; // read at most
    struct termios usual;
    bool is_taken; // the terminal is in full-screen mode
    bool has_quit; // a key says so
};

static volatile sig_atomic_t caught; // SIGINT or SIGTERM, SIGTSTP

static void on_signal(int number)
{
    if (number != SIGWINCH && number != SIGCONT)
        caught = number;
}

// --- the terminal ---------------------------------------------------------------------------------

// Errors are ignored: if the terminal is gone, there is nothing to write to.
static void write_all(const char *text, size_t len)
{
    while (len > 0) {
        ssize_t written = write(STDOUT_FILENO, text, len);
        if (written < 0 && errno != EINTR)
            return;
        if (written > 0) {
            text += written;
            len -= (size_t)written;
        }
    }
}

static void write_string(const char *text)
{
    write_all(text, strlen(text));
}

// Switches to the alternate screen without a cursor, where long lines are cut off; keys are read at once and not echoed.
static void enter_full_screen(struct screen *screen)
{
    struct termios quiet;
    if (tcgetattr(STDIN_FILENO, &screen->usual) == 0) {
        quiet = screen->usual;
        quiet.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
        quiet.c_cc[VMIN] = 0;
        quiet.c_cc[VTIME] = 0;
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &quiet);
    }
    write_string("\x1b[?1049h\x1b[?25l\x1b[?7l");
    screen->is_taken = true;
}

static void leave_full_screen(struct screen *screen)
{
    if (!screen->is_taken)
        return;
    write_string("\x1b[?7h\x1b[?25h\x1b[?1049l");
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &screen->usual);
    screen->is_taken = false;
}

// --- reading --------------------------------------------------------------------------------------

// Everything is of one moment but for the milliseconds between the three answers.
static enum error_code ask_for_screen(struct screen *screen, struct arena *arena, struct top *top,
                                      struct error *error)
{
    struct remote_answer reply;
    struct pools_answer pools;
    char queue[64];
    const struct answer answer = {&reply.document, arena, error};
    (void)snprintf(queue, sizeof queue, "api/queue?limit=%zu", screen->jobs);
    enum error_code code = remote_get(screen->remote, "api/pools", arena, &reply, error);
    if (code == ERROR_NONE)
        code = answer_read_pools(&answer, &pools);
    if (code == ERROR_NONE)
        code = remote_get(screen->remote, queue, arena, &reply, error);
    if (code == ERROR_NONE)
        code = answer_read_queue(&answer, top);
    if (code == ERROR_NONE)
        code = remote_get(screen->remote, "api/status", arena, &reply, error);
    if (code == ERROR_NONE)
        code = answer_read_status(&answer, top);
    if (code != ERROR_NONE)
        return code;
    top->pools = pools.view;
    top->shares = pools.shares;
    top->summary = pools.summary;
    return ERROR_NONE;
}

// On failure what was read before is kept.
static enum error_code load_picture(struct screen *screen, struct error *error)
{
    struct arena *arena = &screen->arenas[1 - screen->current];
    struct top top = {.now = timestamp_now()};
    const struct top_source source = {.store = screen->store,
                                      .pools = &screen->cache,
                                      .settings = screen->pools,
                                      .jobs = screen->jobs,
                                      .now = top.now};
    arena_clear(arena);
    enum error_code code = screen->remote != NULL ? ask_for_screen(screen, arena, &top, error)
                                                  : top_load(&source, arena, &top, error);
    if (code != ERROR_NONE)
        return code;
    screen->current = 1 - screen->current;
    screen->top = top;
    screen->has_top = true;
    return ERROR_NONE;
}

// A daemon that does not answer for a while, as when it starts again, is asked again; what was read before is shown.
static enum error_code load_again(struct screen *screen, struct error *error)
{
    enum error_code code = load_picture(screen, error);
    if (code == ERROR_NONE || screen->remote == NULL || !screen->has_top || code == ERROR_MEMORY)
        return code;
    if (!remote_is_interrupted(screen->remote)) {
        char time[TIMESTAMP_TEXT_SIZE];
        (void)snprintf(screen->trouble, sizeof screen->trouble, "This is as of %s: %s",
                       timestamp_format_rfc3339(screen->top.now, false, time), error->message);
        screen->top.trouble = slice_from_string(screen->trouble);
    }
    return ERROR_NONE;
}

// --- frames ---------------------------------------------------------------------------------------

static enum error_code draw(struct screen *screen, const struct top_options *frame,
                            struct error *error)
{
    arena_clear(&screen->scratch);
    buffer_clear(&screen->text);
    return top_render(&screen->top, frame, &screen->scratch, &screen->text, error);
}

// In full-screen mode the kernel's size counts, and not COLUMNS, which does not change when the window does.
static struct top_options fit_screen(void)
{
    struct winsize size;
    struct top_options frame = {terminal_detect(STDOUT_FILENO), 24};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
        return frame;
    if (size.ws_col > 0)
        frame.terminal.width = size.ws_col;
    if (size.ws_row > 0)
        frame.height = size.ws_row;
    return frame;
}

// Overwrites the previous frame line by line, so that nothing flickers. A line is cleared before it is written: after it,
// in the last column, the terminal would clear its last character. A newline after the last line would make the terminal
// scroll.
static enum error_code append_frame(struct screen *screen)
{
    struct slice rest = buffer_slice(&screen->text);
    enum error_code code = buffer_append_string(&screen->frame, "\x1b[H");
    while (rest.len > 0 && code == ERROR_NONE) {
        ptrdiff_t end = slice_find(rest, SLICE("\n"));
        size_t len = end < 0 ? rest.len : (size_t)end, taken = end < 0 ? len : len + 1;
        code = buffer_append_string(&screen->frame, "\x1b[K");
        if (code == ERROR_NONE)
            code = buffer_append(&screen->frame, rest.data, len);
        if (code == ERROR_NONE)
            code = buffer_append_string(&screen->frame, "\n");
        rest = (struct slice){rest.data + taken, rest.len - taken};
    }
    return code == ERROR_NONE ? buffer_append_string(&screen->frame, "\x1b[J") : code;
}

static enum error_code show(struct screen *screen, struct error *error)
{
    struct top_options frame = fit_screen();
    frame.height = frame.height > 1 ? frame.height - 1 : 1;
    enum error_code code = draw(screen, &frame, error);
    if (code != ERROR_NONE)
        return code;
    buffer_clear(&screen->frame);
    code = append_frame(screen);
    if (code != ERROR_NONE)
        return error_set(error, code, "show the open jobs: %s", error_code_text(code));
    write_all(screen->frame.data, screen->frame.len);
    return ERROR_NONE;
}

// --- the loop -------------------------------------------------------------------------------------

static bool is_quit_key_pressed(void)
{
    char key;
    while (read(STDIN_FILENO, &key, 1) == 1)
        if (key == 'q' || key == 'Q' || key == 4)
            return true;
    return false;
}

// Ctrl-Z: restores the shell's screen, and redraws after SIGCONT.
static void suspend(struct screen *screen)
{
    leave_full_screen(screen);
    (void)raise(SIGSTOP);
    enter_full_screen(screen);
}

// Signals are delivered only during the wait, so that none is missed between the check and the wait.
static void prepare_signals(sigset_t *usual)
{
    const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGWINCH, SIGCONT};
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t ours;
    sigemptyset(&ours);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        sigaddset(&ours, numbers[i]);
        (void)sigaction(numbers[i], &action, NULL);
    }
    (void)sigprocmask(SIG_BLOCK, &ours, usual);
}

// While an answer is waited for: keys, and signals, which are blocked. What was read before is drawn again in a window of
// another size.
static bool is_still_wanted(void *context)
{
    struct screen *screen = context;
    const struct timespec none = {0, 0};
    struct error ignored;
    sigset_t pending, resized;
    sigemptyset(&resized);
    sigaddset(&resized, SIGWINCH);
    if (sigtimedwait(&resized, NULL, &none) == SIGWINCH && screen->has_top)
        (void)show(screen, &ignored);
    screen->has_quit = screen->has_quit || is_quit_key_pressed();
    (void)sigpending(&pending);
    return !screen->has_quit && !sigismember(&pending, SIGINT) && !sigismember(&pending, SIGTERM) &&
           !sigismember(&pending, SIGHUP) && !sigismember(&pending, SIGTSTP);
}

// Waits for a key, a signal or `until` (monotonic). False: the command is to end.
static bool wait_for_picture(struct screen *screen, timestamp_ns until, const sigset_t *usual)
{
    timestamp_ns now = timestamp_monotonic();
    duration_ns left = until > now ? until - now : 0;
    const struct timespec wait = {.tv_sec = (time_t)(left / NS_PER_SECOND),
                                  .tv_nsec = (long)(left % NS_PER_SECOND)};
    struct pollfd keys = {.fd = STDIN_FILENO, .events = POLLIN};
    caught = 0;
    int ready = ppoll(&keys, 1, &wait, usual);
    if (caught == SIGTSTP) {
        suspend(screen);
        return true;
    }
    return caught == 0 && !(ready > 0 && (is_quit_key_pressed() || (keys.revents & POLLHUP) != 0));
}

static enum error_code show_repeatedly(struct screen *screen, struct error *error)
{
    timestamp_ns next = 0; // when it is read again
    sigset_t usual;
    prepare_signals(&usual);
    // Before the screen is taken, so that a message is where the user looks for it.
    enum error_code code = load_picture(screen, error);
    if (code != ERROR_NONE)
        return code;
    enter_full_screen(screen);
    if (screen->remote != NULL)
        remote_stop_unless(screen->remote, is_still_wanted, screen);
    next = timestamp_monotonic() + screen->interval;
    do {
        if (timestamp_monotonic() >= next) {
            code = load_again(screen, error);
            next = timestamp_monotonic() + screen->interval;
        }
        if (code == ERROR_NONE)
            code = show(screen, error);
    } while (code == ERROR_NONE && !screen->has_quit && wait_for_picture(screen, next, &usual));
    leave_full_screen(screen);
    return code;
}

static enum error_code print_once(struct screen *screen, struct error *error)
{
    const struct top_options frame = {terminal_detect_list(STDOUT_FILENO), 0};
    enum error_code code = load_picture(screen, error);
    if (code == ERROR_NONE)
        code = draw(screen, &frame, error);
    if (code == ERROR_NONE)
        store_tool_print(&screen->text);
    return code;
}

static bool read_interval(const struct cli_args *cli_args, duration_ns *interval,
                          struct error *error)
{
    const char *text = cli_args->flags[FLAG_INTERVAL];
    *interval = NS_PER_SECOND;
    if (text == NULL)
        return true;
    if (duration_parse(slice_from_string(text), interval) && *interval >= INTERVAL_LEAST)
        return true;
    error_set(error, ERROR_USAGE, "--interval: \"%.40s\": want a time of 100ms or more, as 2s",
              text);
    return false;
}

// A terminal that can move its cursor.
static bool has_screen(const struct cli_args *cli_args)
{
    const char *term = environment_get(cli_args->environment, "TERM");
    return isatty(STDOUT_FILENO) && isatty(STDIN_FILENO) && term != NULL &&
           strcmp(term, "dumb") != 0 && cli_args->flags[FLAG_ONCE] == NULL;
}

// Opens the store, or the way to the daemon. Prints errors; returns the exit status.
static int open_source(struct cli_args *cli_args, struct screen *screen)
{
    struct config config;
    struct error error;
    if (cli_args_want_daemon(cli_args))
        return remote_open(cli_args, &screen->remote, &error) == ERROR_NONE ? EXIT_OK
                                                                            : command_fail(&error);
    int status = store_tool_open(cli_args, &config, &screen->store);
    if (status == EXIT_OK)
        screen->pools = config.pools;
    return status;
}

static int show_screens(struct cli_args *cli_args, struct screen *screen)
{
    struct error error;
    pools_cache_init(&screen->cache);
    arena_init(&screen->arenas[0], ARENA_BLOCK_BYTES);
    arena_init(&screen->arenas[1], ARENA_BLOCK_BYTES);
    arena_init(&screen->scratch, ARENA_BLOCK_BYTES);
    buffer_init(&screen->text, TOP_MAX_TEXT);
    buffer_init(&screen->frame, TOP_MAX_TEXT);
    bool is_screen = has_screen(cli_args);
    screen->jobs = is_screen ? JOBS_ON_SCREEN : JOBS_ONCE;
    enum error_code code = is_screen ? show_repeatedly(screen, &error) : print_once(screen, &error);
    buffer_release(&screen->frame);
    buffer_release(&screen->text);
    arena_release(&screen->scratch);
    arena_release(&screen->arenas[1]);
    arena_release(&screen->arenas[0]);
    pools_cache_release(&screen->cache);
    return code == ERROR_NONE ? EXIT_OK : command_fail(&error);
}

static int run_top(struct cli_args *cli_args)
{
    struct screen screen = {.is_taken = false};
    struct error error;
    if (!read_interval(cli_args, &screen.interval, &error))
        return command_fail(&error);
    int status = open_source(cli_args, &screen);
    if (status != EXIT_OK)
        return status;
    status = show_screens(cli_args, &screen);
    remote_close(screen.remote);
    store_close(screen.store);
    return status;
}

const struct command command_top = {
    .name = "top",
    .operands = "",
    .summary = "what is wrong, the queue and the running jobs, refreshing",
    .details =
        "Shows in one sentence what is wrong, then pools with open jobs, those in trouble first "
        "(as\n"
        "`ghatrace pools` does), then the jobs that have waited or run longest. q ends it. Into a "
        "file or a\n"
        "pipe, with TERM=dumb or with --once, it prints one picture.\n" REMOTE_DETAILS,
    .settings = OPTION_SET(STORE_TOOL_SETTINGS, [OPTION_ID_JOB_GRACE] = true,
                           [OPTION_ID_RUNNER_CEILING] = true, [OPTION_ID_POOL_DEAD_AFTER] = true),
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .run = run_top,
};
