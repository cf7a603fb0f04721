/*
 * The names that Autodiscover's documents share. For autodiscover*.c alone.
 */
#ifndef PROXY_AUTODISCOVER_XML_H
#define PROXY_AUTODISCOVER_XML_H

#define AUTODISCOVER_SCHEMAS "http://schemas.microsoft.com/exchange/autodiscover/"
#define AUTODISCOVER_REQUEST AUTODISCOVER_SCHEMAS "mobilesync/requestschema/2006"
#define AUTODISCOVER_ANSWER  AUTODISCOVER_SCHEMAS "mobilesync/responseschema/2006"
#define AUTODISCOVER_FRAME   AUTODISCOVER_SCHEMAS "responseschema/2006"

#endif
