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

# sealpart_definitions takes the definitions of a directory along. dracut makes links relative,
# and lets a link to /dev/null, which masks another definition, lead to a file of its own.
sealpart_definitions() {
	local file
	for file in "${dracutsysrootdir-}$1"/*.toml "${dracutsysrootdir-}$1"/*.toml.d/*.toml; do
		[[ -e "$file" || -L "$file" ]] || continue
		file="${file#"${dracutsysrootdir-}"}"
		if [[ "$(readlink -f "${dracutsysrootdir-}$file")" == /dev/null ]]; then
			mkdir -p "$initdir${file%/*}"
			ln -sf /dev/null "$initdir$file"
		else
			inst_multiple "$file"
		fi
	done
}

install() {
	local dir program
	for dir in $sealpart_directories; do
		sealpart_definitions "$dir"
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
