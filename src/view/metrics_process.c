// What the system knows of the process, by the names that Prometheus' own libraries use.
#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "ghatrace/base/log_queue.h"
#include "metrics_text.h"

static double processor_seconds(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

// The second number of /proc/self/statm: pages in memory, those of the mapped store included. -1: no such file.
static double resident_bytes(void)
{
    long long pages = -1;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return -1;
    if (fscanf(file, "%*d %lld", &pages) != 1)
        pages = -1;
    (void)fclose(file);
    return pages < 0 ? -1 : (double)pages * (double)sysconf(_SC_PAGESIZE);
}

// -1: not to be known here.
static double open_descriptors(void)
{
    double count = -1; // the folder's own
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return -1;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
        count += entry->d_name[0] != '.' ? 1 : 0;
    (void)closedir(folder);
    return count;
}

static void put_known(struct metrics_text *text, const char *name, const char *help, double value)
{
    if (value >= 0)
        metrics_single(text, name, METRICS_GAUGE, help, value);
}

void metrics_put_process(struct metrics_text *text)
{
    struct rlimit limit;
    metrics_single(text, "ghatrace_log_lines_dropped", METRICS_COUNTER,
                   "Log lines that standard error did not take, since the start.",
                   (double)log_dropped_lines());
    metrics_single(text, "process_cpu_seconds", METRICS_COUNTER, "Processor time used, in seconds.",
                   processor_seconds());
    put_known(text, "process_resident_memory_bytes",
              "Memory in use, with the pages of the store that are in memory.", resident_bytes());
    put_known(text, "process_open_fds", "Descriptors in use.", open_descriptors());
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        metrics_single(text, "process_max_fds", METRICS_GAUGE, "How many there may be.",
                       (double)limit.rlim_cur);
}
