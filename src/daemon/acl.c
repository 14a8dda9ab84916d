/*
 * acl.c - one more user or group may use a file, beside its owner, group and mode
 *
 * The owner of a file may set its access list, also for a group that he is not in, which chown(2)
 * does not let him give the file to. The form is linux/posix_acl_xattr.h: a version and entries in
 * the order of their tags, little-endian.
 */
#include "portreeve/acl.h"

#include <endian.h>
#include <errno.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define ATTRIBUTE "system.posix_acl_access"
#define ENTRIES   5

struct access_list {
    struct posix_acl_xattr_header header;
    struct posix_acl_xattr_entry entry[ENTRIES];
};

static struct posix_acl_xattr_entry entry(uint16_t tag, uint32_t id, unsigned int mode)
{
    struct posix_acl_xattr_entry made = {
        .e_tag = htole16(tag), .e_perm = htole16((uint16_t)(mode & 7)), .e_id = htole32(id)};

    return made;
}

int acl_allow(const char *path, enum acl_who who, uint32_t id, unsigned int rights)
{
    const bool user = who == ACL_FOR_USER;
    struct access_list list = {.header.a_version = htole32(POSIX_ACL_XATTR_VERSION)};
    struct stat status;

    if (stat(path, &status) < 0)
        return -errno;
    if (getxattr(path, ATTRIBUTE, NULL, 0) > 0 && user)
        return -EEXIST;
    list.entry[0] = entry(ACL_USER_OBJ, (uint32_t)ACL_UNDEFINED_ID, status.st_mode >> 6);
    list.entry[user ? 1 : 2] = entry(user ? ACL_USER : ACL_GROUP, id, rights);
    list.entry[user ? 2 : 1] =
        entry(ACL_GROUP_OBJ, (uint32_t)ACL_UNDEFINED_ID, status.st_mode >> 3);
    list.entry[3] = entry(ACL_MASK, (uint32_t)ACL_UNDEFINED_ID, rights | status.st_mode >> 3);
    list.entry[4] = entry(ACL_OTHER, (uint32_t)ACL_UNDEFINED_ID, status.st_mode);
    return setxattr(path, ATTRIBUTE, &list, sizeof(list), 0) < 0 ? -errno : 0;
}
