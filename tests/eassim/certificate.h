/* The name that a client certificate carries; for phones, that say it in their requests, and for a
 * server that is handed a certificate. */
#ifndef EASSIM_CERTIFICATE_H
#define EASSIM_CERTIFICATE_H

#include <openssl/x509.h>
#include <stdbool.h>

/* The Principal Name of the SAN, else its first RFC822 Name; false where it has neither. */
bool certificate_mailbox(X509 *certificate, char name[321]);

#endif
