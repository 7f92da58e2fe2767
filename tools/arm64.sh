#!/bin/sh
# Unpacks the kernel and the busybox of Debian for arm64 into a folder, for the test that
# boots them. Apt's lists of that architecture lie in the folder, too: this machine's own
# stay as they are. Usage: arm64.sh FOLDER
set -eu
command -v qemu-system-aarch64 >/dev/null || apt-get install -y -q qemu-system-arm
mkdir -p "$1/lists/partial" "$1/cache/archives/partial"
cd "$1"
[ ! -e bin/busybox ] || exit 0
apt() {
	apt-get -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State::Lists="$PWD/lists" \
		-o Dir::State::status=/dev/null -o Dir::Cache="$PWD/cache" -o APT::Sandbox::User=root "$@"
}
apt update
kernel=$(apt-cache -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State::Lists="$PWD/lists" -o Dir::State::status=/dev/null \
	-o Dir::Cache="$PWD/cache" depends linux-image-cloud-arm64 | sed -n 's/ *Depends: \(linux-image-[^ :]*\).*/\1/p')
apt download "$kernel" busybox-static
for package in *.deb; do
	dpkg -x "$package" .
done
rm -f ./*.deb
