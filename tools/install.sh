#!/usr/bin/env bash
# Installs the foreign programs that the tests judge by, those of them that are
# missing, from Debian's packages. Without root it says what to install, and fails.
set -euo pipefail
cd "$(dirname "$0")"
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# missing prints the packages whose program is not there.
missing() {
	while read -r package program; do
		command -v "$program" >/dev/null || printf '%s ' "$package"
	done < <(grep -v '^#' packages)
	# Without a program: what lets tpm2-tools and systemd talk to swtpm, what lets them
	# talk to a TPM device, and the kernel, the firmware
	# and the boot stub of the machines that are booted.
	compgen -G '/usr/lib/*/libtss2-tcti-swtpm.so*' >/dev/null || printf 'libtss2-tcti-swtpm0 '
	compgen -G '/usr/lib/*/libtss2-tcti-device.so*' >/dev/null || printf 'libtss2-tcti-device0 '
	compgen -G '/boot/vmlinuz-*-cloud-amd64' >/dev/null || printf 'linux-image-cloud-amd64 '
	[ -e /usr/share/OVMF/OVMF_CODE_4M.fd ] || printf 'ovmf '
	compgen -G '/usr/lib/systemd/boot/efi/linux*.efi.stub' >/dev/null || printf 'systemd-boot-efi'
}

packages=$(missing)
[ -n "$packages" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "tools/install.sh: these Debian packages are missing: $packages" >&2
	echo "tools/install.sh: install them, or run this as root on Debian" >&2
	exit 1
fi

echo "tools/install.sh: installing $packages"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q </dev/null
# shellcheck disable=SC2086 # a list of words
apt-get install -q -y --no-install-recommends $packages </dev/null

packages=$(missing)
[ -z "$packages" ] || { echo "tools/install.sh: still missing after installing: $packages" >&2; exit 1; }
