// Package resolve opens paths component by component, by descriptor. A Tree says where
// paths begin, and it is a wall: links in it are resolved as if it were the root, an
// absolute one from the top, and ".." does not climb out (as RESOLVE_IN_ROOT of
// openat2(2), which older kernels do not have).
//
// A tree that is Trusted has one rule for all that decides what runs as root, what a key
// is, and where one is written. Each component of a path must be
//
//   - root's, or that of whom we run for: the running user, or the one who called sudo;
//     where other people own "/", as in a container's user namespace, theirs, too;
//   - not for others to write to. A folder with the sticky bit (/tmp) may be: what is
//     ours in it nobody else renames. So may be what an ordinary user's own group may write
//     to (the same number, as with umask 002), unless an access list names others.
//
// A link is a component like others: it must be root's or ours, and where it leads is
// looked at in the same way. The one at the end of a path that is written to is never followed.
// What was looked at is what is opened: every step is taken from the open folder above it.
// Devices and sockets are not asked who may write to them, and a descriptor that was
// handed to us (/dev/stdin, /proc/self/fd/3) not whose it is.
package resolve
