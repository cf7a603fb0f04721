#include "proxy/supervisor_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

void process_open_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO) {
		dup2(fd, STDIN_FILENO);
		close(fd);
	}
}

void process_raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int process_open_signals(int *fd, struct error *err)
{
	static const int numbers[] = {SIGCHLD, SIGHUP, SIGUSR1, SIGTERM, SIGINT};
	sigset_t wanted;

	sigemptyset(&wanted);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaddset(&wanted, numbers[i]);
	sigprocmask(SIG_BLOCK, &wanted, NULL);
	signal(SIGPIPE, SIG_IGN);
	*fd = signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC);
	return *fd == -1 ? error_sys(err, "making the signal descriptor") : 0;
}

struct shared *process_map_shared(struct error *err)
{
	struct shared *shared = mmap(
		NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (shared == MAP_FAILED) {
		error_sys(err, "mapping the shared counters");
		return NULL;
	}
	if (getrandom(&shared->seed, sizeof(shared->seed), 0) != (ssize_t)sizeof(shared->seed)) {
		error_sys(err, "getting random numbers");
		munmap(shared, sizeof(*shared));
		return NULL;
	}
	atomic_store(&shared->started_at, (uint64_t)time(NULL));
	return shared;
}
