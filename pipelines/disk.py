"""Words for what the file system refuses."""

import errno

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def say_os_error(error: OSError) -> str:
    """What could not be written or read, and what to do about it."""
    what = f"{error.filename or 'the file system'}: {error.strerror or error}"
    if error.errno in FULL:
        return f"no room ({what}): free some, or let CHATCORE_RUNS name a folder that has more"
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return f"not allowed ({what}): let CHATCORE_RUNS name a folder that can be written"
    return what
