#define _GNU_SOURCE

#include "userns.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>

int hold_unshare_user(int death_signal)
{
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return -errno;
    /* After unshare(2), which changes the credentials and so takes the wish back. */
    if (prctl(PR_SET_PDEATHSIG, death_signal) < 0)
        return -errno;
    return 0;
}

int hold_unshare_mounts(void)
{
    if (unshare(CLONE_NEWNS) < 0)
        return -errno;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -errno;
    return 0;
}
