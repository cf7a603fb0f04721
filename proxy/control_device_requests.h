/*
 * What easproxyctl device asks: the handlers of device-list, device-show and the orders. For
 * proxy/control_requests.c alone.
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

#endif
