// Package dm makes and removes device-mapper devices by the kernel's ioctls
// (Documentation/admin-guide/device-mapper, include/uapi/linux/dm-ioctl.h).
//
// A device is made in three steps: it gets its name and UUID, then a table of targets,
// then it is resumed. Where one fails, what was made is removed again. A key never
// stands in a table: the kernel takes it from a keyring, from which it is gone when
// Create returns. Names and UUIDs follow cryptsetup's scheme, so that it, systemd and
// udev see an ordinary volume.
package dm
