/*
 * `easproxyctl decode` and `easproxyctl encode`: WBXML to XML and back, for an operator with a
 * captured body. Called by easproxyctl.c alone; argv[0] is the command's name. Both return the exit
 * status: 0, 1 when the document is refused or cannot be read, 2 for a wrong command line.
 */
#ifndef PROXY_EASPROXYCTL_WBXML_H
#define PROXY_EASPROXYCTL_WBXML_H

#include "wbxml/xml.h"

int ctl_decode(int argc, char **argv); /* easproxyctl_decode.c */
int ctl_encode(int argc, char **argv);

/* "exact" or "libwbxml": 0, or -1. */
int ctl_dialect_read(const char *text, enum wbxml_dialect *dialect);

#endif
