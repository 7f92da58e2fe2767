#!/bin/bash
# dracut module: sealpart in an initrd with systemd.

# Where definitions are looked for, as in the program.
sealpart_directories="/etc/sealpart.d /usr/local/lib/sealpart.d /usr/lib/sealpart.d"

# check says whether the module belongs into this initrd: where there are definitions.
check() {
	require_binaries sealpart udevadm || return 1
	local dir
	for dir in $sealpart_directories; do
		compgen -G "${dracutsysrootdir-}$dir/*.toml" >/dev/null && return 0
	done
	return 255
}

depends() {
	echo systemd systemd-initrd udev-rules dm
}

# What opens the volumes afterwards (dm-crypt and its ciphers) is what systemd-cryptsetup
# needs, and is here for an initrd that has no module "crypt".
installkernel() {
	hostonly='' instmods dm_mod dm_crypt xts aes aesni_intel aes_arm64 aes_ce_blk loop paes_s390 pkey pkey_cca zcrypt_cex4 '=drivers/char/tpm' efivarfs
}

install() {
	local dir program
	for dir in $sealpart_directories; do
		[[ -d "${dracutsysrootdir-}$dir" ]] && inst_multiple -o "$dir"/*.toml "$dir"/*.toml.d/*.toml
	done
	inst_binary sealpart
	# Only the programs that these definitions call for.
	for program in $(sealpart doctor --programs); do
		inst_multiple "$program"
	done
	inst_simple "$systemdsystemunitdir/sealpart.service"
	inst_simple "$moddir/device-timeout.conf" "$systemdsystemunitdir/device.d/sealpart.conf"
	inst_simple "$systemdsystemunitdir/systemd-cryptsetup@.service.d/sealpart.conf"
	$SYSTEMCTL -q --root "$initdir" add-wants initrd-root-device.target sealpart.service
}
