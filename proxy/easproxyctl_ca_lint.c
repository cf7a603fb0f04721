#include "proxy/easproxyctl_ca.h"
int ctl_ca_lint(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return 2;
}
