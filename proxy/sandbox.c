#include "proxy/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "proxy/privacy.h"
#include "proxy/sandbox_landlock.h"
#include "proxy/sandbox_seccomp.h"

int sandbox_find_user(const struct config *config, uid_t *uid, gid_t *gid, struct error *err)
{
	const struct passwd *user;
	const struct group *group;

	*uid = geteuid();
	*gid = getegid();
	if (config->user[0] == '\0' || *uid != 0)
		return 0;
	errno = 0;
	user = getpwnam(config->user);
	if (user == NULL)
		return error_set(err, "user: there is no user %s", config->user);
	*uid = user->pw_uid;
	*gid = user->pw_gid;
	if (config->group[0] == '\0')
		return 0;
	group = getgrnam(config->group);
	if (group == NULL)
		return error_set(err, "group: there is no group %s", config->group);
	*gid = group->gr_gid;
	return 0;
}

int sandbox_drop_user(const struct child *child, struct error *err)
{
	uid_t uid;
	gid_t gid;

	if (geteuid() != 0 || child->config->user[0] == '\0')
		return 0;
	if (sandbox_find_user(child->config, &uid, &gid, err) == -1)
		return -1;
	if (setgroups(0, NULL) == -1 || setresgid(gid, gid, gid) == -1 ||
		setresuid(uid, uid, uid) == -1)
		return error_sys(err, "becoming user %s", child->config->user);
	/* What the kernel says, rather than what we asked for. */
	if (uid != 0 && (setuid(0) == 0 || geteuid() == 0 || getegid() != gid))
		return error_set(err, "becoming user %s: still root", child->config->user);
	return privacy_renew(err);
}

int sandbox_enter_files(const struct child *child, struct error *err)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return error_sys(err, "giving up new privileges");
	return sandbox_landlock(child, err);
}

int sandbox_enter(const struct child *child, struct error *err)
{
	if (!child->has_sandbox)
		return 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return error_sys(err, "giving up new privileges");
	/* A helper was born in its spawner's, which is the same. */
	if ((child->part == PART_MAIN || child->is_spawner) && sandbox_landlock(child, err) == -1)
		return -1;
	return sandbox_seccomp(child, err);
}
