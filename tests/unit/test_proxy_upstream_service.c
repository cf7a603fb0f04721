/* For which service a ticket is asked. */
#include <string.h>

#include "proxy/upstream_service.h"
#include "tests/unit/check.h"

static int service_of(const char *spn, const char *host, char service[LOGIN_SERVICE_MAX + 1])
{
	struct config_upstream upstream = {.spn = (char *)spn, .host = (char *)""};
	struct config_endpoint endpoint = {.host = (char *)host};

	return upstream_service(&upstream, &endpoint, service);
}

static void test_the_host_is_the_endpoints(void)
{
	static const struct {
		const char *spn, *service;
	} rows[] = {
		{"HTTP/%{host}", "HTTP/ex1.contoso.test"},
		{"HTTP/mail.contoso.test", "HTTP/mail.contoso.test"},
		{"%{host}/%{host}", "ex1.contoso.test/ex1.contoso.test"},
		{"HTTP/100%%", "HTTP/100%"},
	};
	char service[LOGIN_SERVICE_MAX + 1];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CU_ASSERT_EQUAL(service_of(rows[i].spn, "ex1.contoso.test", service), 0);
		CU_ASSERT_STRING_EQUAL(service, rows[i].service);
	}
}

static void test_an_endpoint_is_called_what_it_is_asked_for(void)
{
	static const struct {
		const char *host, *service;
	} rows[] = {
		{"mail.contoso.test", "HTTP/mail.contoso.test"},
		{"mail.contoso.test:8443", "HTTP/mail.contoso.test"},
		{"[2001:db8::1]:8443", "HTTP/2001:db8::1"},
	};
	char service[LOGIN_SERVICE_MAX + 1];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config_upstream upstream = {
			.spn = (char *)"HTTP/%{host}", .host = (char *)rows[i].host};
		struct config_endpoint endpoint = {.host = (char *)"192.0.2.1"};

		CU_ASSERT_EQUAL(upstream_service(&upstream, &endpoint, service), 0);
		CU_ASSERT_STRING_EQUAL(service, rows[i].service);
	}
}

static void test_what_is_no_service_is_refused(void)
{
	char service[LOGIN_SERVICE_MAX + 1], host[LOGIN_SERVICE_MAX + 1];

	CU_ASSERT_EQUAL(service_of("HTTP/%{mailbox}", "h", service), -1);
	CU_ASSERT_EQUAL(service_of("HTTP/%", "h", service), -1);
	memset(host, 'h', sizeof(host) - 1);
	host[sizeof(host) - 1] = '\0';
	CU_ASSERT_EQUAL(service_of("%{host}", host, service), 0);
	CU_ASSERT_EQUAL(service_of("x%{host}", host, service), -1);
}

static const struct check checks[] = {
	{"%{host} is the endpoint's name", test_the_host_is_the_endpoints},
	{"an endpoint is called what it is asked for",
		test_an_endpoint_is_called_what_it_is_asked_for},
	{"what does not fit, or is no template, is refused", test_what_is_no_service_is_refused},
};

int main(void)
{
	return check_run("proxy/upstream_service", checks, sizeof(checks) / sizeof(checks[0]));
}
