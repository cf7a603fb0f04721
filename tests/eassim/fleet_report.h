/* What a fleet shows: one line while it runs, the summary at the end, and whether all was right. */
#ifndef EASSIM_FLEET_REPORT_H
#define EASSIM_FLEET_REPORT_H

#include "fleet.h"

void fleet_progress(const struct fleet *fleet);

/* Adds to the tally what can be told only at the end, prints it, writes the JSON file where one is
 * wanted. True when every answer was right. */
bool fleet_summary(struct fleet *fleet);

#endif
