/*
 * acl.h - one more user or group may use a file, beside its owner, group and mode
 */
#ifndef PORTREEVE_ACL_H
#define PORTREEVE_ACL_H

#include <stdbool.h>
#include <stdint.h>

enum acl_who {
    ACL_FOR_USER,
    ACL_FOR_GROUP,
};

/*
 * Adds one entry to what the mode of the file says (acl(5)): this user or group has the `rights`
 * (4 read, 2 write, 1 execute). An access list that a file of users has already stays as it is:
 * -EEXIST; that of a socket's group is replaced. Returns 0 or -errno: -EOPNOTSUPP where the file
 * system has no access lists. Only the file's owner and CAP_FOWNER may do this.
 */
int acl_allow(const char *path, enum acl_who who, uint32_t id, unsigned int rights);

#endif
