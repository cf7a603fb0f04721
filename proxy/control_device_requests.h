/*
 * What easproxyctl device asks: the handlers of device-list, device-show and the orders. For
 * proxy/control_requests.c, and for the users' revocations.
 */
#ifndef PROXY_CONTROL_DEVICE_REQUESTS_H
#define PROXY_CONTROL_DEVICE_REQUESTS_H

#include "proxy/control_request.h"

control_handler control_request_device_list;
control_handler control_request_device_show;
control_handler control_request_device_add;
/* device-allow, -block, -quarantine and -wipe. */
control_handler control_request_device_order;
control_handler control_request_device_forget;

/* How many devices of a mailbox have an order to wipe that they have not acknowledged. */
int control_devices_to_be_wiped(struct control *control, const char *mailbox);

#endif
