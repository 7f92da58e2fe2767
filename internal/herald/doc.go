// Package herald tells those who watch a machine come up how the work goes, and keeps
// them from taking it for a hang:
//
//   - the service manager, by sd_notify(3): STATUS=, the phase and how far it is, more
//     time before its timeout, WATCHDOG=1;
//   - the splash screen of plymouth, by its own protocol over its socket, which takes no
//     program that an initramfs would have to hold;
//   - a hardware watchdog, where we are told to feed one.
//
// Nobody has to be there: what is said to nobody is lost, and never an error. The
// watchdog alone must be there when it was asked for.
//
// A hardware watchdog is fed only on demand. Where systemd runs, it is systemd that feeds
// it (RuntimeWatchdogSec=). Where it does not, a watchdog that the boot loader started is
// fed by the kernel, until somebody opens it (CONFIG_WATCHDOG_HANDLE_BOOT_ENABLED): opening
// one that nobody spoke of would make the machine depend on us.
package herald
