// The part of hiredis that Roost uses: writing commands and reading replies. Sockets are NIO's.
#include <hiredis/hiredis.h>
