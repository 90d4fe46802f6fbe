// ghatrace top: the queue and the running jobs, refreshed continuously.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "cli.h"
#include "ghatrace/term/top.h"

#define ONCE_JOBS 1000 // used if the height is not limited
#define INTERVAL_LEAST (100 * NS_PER_MS)
#define ARENA_BLOCK_BYTES ((size_t)64 * 1024)

enum { FLAG_ONCE, FLAG_INTERVAL };

static const struct flag flags[] = {
    [FLAG_ONCE] = {"once", NULL, "print the open jobs now, and end"},
    [FLAG_INTERVAL] = {"interval", "TIME", "how often the picture is refreshed, 1s if not given"},
};

struct screen {
    struct store *store;
    struct arena arena; // of one frame
    struct buffer text;
    struct buffer frame;
    duration_ns interval;
    struct pools_view_settings pools;
    struct termios usual;
    bool is_taken; // the terminal is in full-screen mode
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

// Switches to the alternate screen without a cursor; keys are read at once and not echoed.
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
    write_string("\x1b[?1049h\x1b[?25l");
    screen->is_taken = true;
}

static void leave_full_screen(struct screen *screen)
{
    if (!screen->is_taken)
        return;
    write_string("\x1b[?25h\x1b[?1049l");
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &screen->usual);
    screen->is_taken = false;
}

static size_t terminal_height(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : 24;
}

// --- frames ---------------------------------------------------------------------------------------

static enum error_code draw(struct screen *screen, size_t height, struct error *error)
{
    const struct top_options frame = {.terminal = terminal_detect(STDOUT_FILENO),
                                      .height = height,
                                      .jobs = height > 0 ? height : ONCE_JOBS,
                                      .now = timestamp_now(),
                                      .pools = screen->pools};
    struct top top;
    arena_clear(&screen->arena);
    buffer_clear(&screen->text);
    enum error_code code = top_load(screen->store, &frame, &screen->arena, &top, error);
    if (code == ERROR_NONE)
        code = top_render(&top, &frame, &screen->arena, &screen->text, error);
    return code;
}

// Overwrites the previous frame line by line, clearing each line to its end, so that nothing flickers. A newline
// after the last line would make the terminal scroll.
static enum error_code show(struct screen *screen, struct error *error)
{
    size_t height = terminal_height();
    enum error_code code = draw(screen, height > 1 ? height - 1 : 1, error);
    struct slice rest = buffer_slice(&screen->text);
    if (code != ERROR_NONE)
        return code;
    buffer_clear(&screen->frame);
    code = buffer_append_string(&screen->frame, "\x1b[H");
    while (rest.len > 0 && code == ERROR_NONE) {
        ptrdiff_t end = slice_find(rest, SLICE("\n"));
        size_t len = end < 0 ? rest.len : (size_t)end;
        code = buffer_append(&screen->frame, rest.data, len);
        if (code == ERROR_NONE)
            code = buffer_append_string(&screen->frame, "\x1b[K\n");
        rest =
            (struct slice){rest.data + len + (end < 0 ? 0 : 1), rest.len - len - (end < 0 ? 0 : 1)};
    }
    if (code == ERROR_NONE)
        code = buffer_append_string(&screen->frame, "\x1b[J");
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

static enum error_code show_repeatedly(struct screen *screen, struct error *error)
{
    struct timespec wait = {.tv_sec = (time_t)(screen->interval / NS_PER_SECOND),
                            .tv_nsec = (long)(screen->interval % NS_PER_SECOND)};
    struct pollfd keys = {.fd = STDIN_FILENO, .events = POLLIN};
    enum error_code code = ERROR_NONE;
    sigset_t usual;
    prepare_signals(&usual);
    enter_full_screen(screen);
    while (code == ERROR_NONE) {
        code = show(screen, error);
        caught = 0;
        int ready = code == ERROR_NONE ? ppoll(&keys, 1, &wait, &usual) : 0;
        if (caught == SIGTSTP)
            suspend(screen);
        else if (caught != 0 || (ready > 0 && (is_quit_key_pressed() || (keys.revents & POLLHUP))))
            break;
    }
    leave_full_screen(screen);
    return code;
}

static enum error_code print_once(struct screen *screen, struct error *error)
{
    enum error_code code = draw(screen, 0, error);
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

static int run_top(struct cli_args *cli_args)
{
    struct config config;
    bool is_screen = isatty(STDOUT_FILENO) && isatty(STDIN_FILENO);
    struct screen screen = {.is_taken = false};
    struct error error;
    if (!read_interval(cli_args, &screen.interval, &error))
        return command_fail(&error);
    int status = store_tool_open(cli_args, &config, &screen.store);
    if (status != EXIT_OK)
        return status;
    screen.pools = config.pools;
    arena_init(&screen.arena, ARENA_BLOCK_BYTES);
    buffer_init(&screen.text, TOP_MAX_TEXT);
    buffer_init(&screen.frame, TOP_MAX_TEXT);
    enum error_code code = is_screen && cli_args->flags[FLAG_ONCE] == NULL
                               ? show_repeatedly(&screen, &error)
                               : print_once(&screen, &error);
    if (code != ERROR_NONE)
        status = command_fail(&error);
    buffer_release(&screen.frame);
    buffer_release(&screen.text);
    arena_release(&screen.arena);
    store_close(screen.store);
    return status;
}

const struct command command_top = {
    .name = "top",
    .operands = "",
    .summary = "the queue and the running jobs, refreshing",
    .details =
        "Shows what waits for a runner, by runner labels, and the jobs that have waited or run\n"
        "longest. q ends it. Into a file or a pipe, or with --once, it prints one picture.\n",
    .settings = OPTION_SET(STORE_TOOL_SETTINGS, [OPTION_ID_JOB_GRACE] = true,
                           [OPTION_ID_RUNNER_CEILING] = true, [OPTION_ID_POOL_DEAD_AFTER] = true),
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .run = run_top,
};
