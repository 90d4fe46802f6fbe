// Names of what became of ARC's reports.
#include "ghatrace/trace/arc_report.h"

const char *const arc_outcome_names[ARC_OUTCOMES] = {ARC_OUTCOME_LIST(LIST_NAME)};
