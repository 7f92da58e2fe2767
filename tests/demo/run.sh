#!/bin/bash
# The main job, shown on a real image: a plain factory image becomes one that only
# this (software) TPM opens. Every claim is checked by a tool that is not ours.
#
# usage: tests/demo/run.sh [SEALPART]
set -euo pipefail

here=$(cd "$(dirname "$0")/../.." && pwd)
sealpart=$(realpath "${1:-$here/build/sealpart}")
work=$(mktemp -d)
export PATH="$PATH:/usr/sbin:/sbin" LC_ALL=C
trap 'kill "$(cat "$work/tpm.pid" 2>/dev/null)" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

step() { printf '\n== %s\n' "$*"; }
exec 3>&1
run() { # shows a command as one would type it, then does it
    local line=${*//$work\//}
    printf '$ %s\n' "${line//$here\//}" >&3
    "$@"
}

step "a plain image, as a factory writes it: ESP, an ext4 root with real files, free space"
mkdir -p tree/usr/src
cp -r "$(go env GOROOT)/src/." tree/usr/src/ 2>/dev/null || cp -r /usr/share/doc/. tree/usr/src/
find tree -type f | wc -l | sed 's/$/ files/'
truncate -s 384M root.ext4
mkfs.ext4 -q -d tree -L rootfs root.ext4
truncate -s 64M esp.vfat
mkfs.vfat -n ESP esp.vfat >/dev/null
truncate -s 1G disk.img
sfdisk -q disk.img <<'LAYOUT'
label: gpt
start=2048, size=131072, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=esp
start=133120, size=786432, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name=root
LAYOUT
dd if=esp.vfat of=disk.img bs=1M seek=1 conv=notrunc status=none
dd if=root.ext4 of=disk.img bs=1M seek=65 conv=notrunc status=none

step "a TPM of its own"
port=2321
while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 2)); done
mkdir tpm
swtpm socket --tpm2 --tpmstate dir="$work/tpm" --flags not-need-init,startup-clear --daemon --pid file="$work/tpm.pid" \
    --server type=tcp,port=$port,bindaddr=127.0.0.1 --ctrl type=tcp,port=$((port + 1)),bindaddr=127.0.0.1
tpm=swtpm:host=127.0.0.1,port=$port
export TPM2TOOLS_TCTI=$tpm
for pcr in 0 1 2 3 4 5 6 7; do # the firmware of a machine measures at each start; this one has none
    tpm2_pcrextend "$pcr:sha256=$(printf 'firmware, PCR %s' "$pcr" | sha256sum | cut -d' ' -f1)"
done

flags=(--definitions "$here/examples/first-boot" --seed 750b6cd5-c4ae-4012-a15e-7be3c29e6a47)

step "the plan"
run "$sealpart" plan "${flags[@]}" disk.img

step "applied"
time run "$sealpart" apply "${flags[@]}" --tpm2-device "$tpm" disk.img >/dev/null

step "applied again: nothing to do, nothing written"
before=$(sha256sum <disk.img)
run "$sealpart" apply "${flags[@]}" --tpm2-device "$tpm" disk.img
[ "$before" = "$(sha256sum <disk.img)" ]
run "$sealpart" inspect disk.img

step "proof: the partition table (sfdisk, sgdisk)"
run sfdisk --verify disk.img
sgdisk -v disk.img | grep 'No problems found'

# unseal TOKEN-JSON: the passphrase that a systemd-tpm2 token guards, by tpm2-tools
unseal() {
    python3 - "$1" <<'PYTHON'
import base64, json, struct, sys
token = json.load(open(sys.argv[1]))
blob = base64.b64decode(token["tpm2-blob"])
private = 2 + struct.unpack(">H", blob[:2])[0]
open("seal.priv", "wb").write(blob[:private])
open("seal.pub", "wb").write(blob[private:])
PYTHON
    {
        tpm2_createprimary -Q -C o -g sha256 -G ecc256:null:aes128cfb -c primary.ctx \
            -a 'restricted|decrypt|fixedtpm|fixedparent|sensitivedataorigin|userwithauth'
        tpm2_load -Q -C primary.ctx -u seal.pub -r seal.priv -c seal.ctx
        tpm2_flushcontext -t
        tpm2_startauthsession --policy-session -S session.ctx
        tpm2_policypcr -Q -S session.ctx -l sha256:7
    } >&2
    tpm2_unseal -c seal.ctx -p session:session.ctx | base64 -w0
    tpm2_flushcontext session.ctx
    tpm2_flushcontext -t
}

step "proof: the TPM gives the key, cryptsetup opens both volumes with it"
parts() { sfdisk -J disk.img | python3 -c 'import json,sys
for p in json.load(sys.stdin)["partitiontable"]["partitions"]: print(p["name"], p["start"], p["size"])'; }
parts | while read -r name start size; do
    [ "$name" = esp ] && continue
    dd if=disk.img of="$name.luks" bs=512 skip="$start" count="$size" conv=sparse status=none
    cryptsetup token export --token-id 0 "$name.luks" >"$name.token"
    unseal "$name.token" >"$name.key"
    run cryptsetup open --test-passphrase --key-file "$name.key" "$name.luks"
    echo "$name: cryptsetup opens it"
done

step "proof: the decrypted root is the factory's root, bit for bit"
run "$sealpart" export --tpm2-device "$tpm" disk.img#root root.plain
cmp -n "$(stat -c %s root.ext4)" root.plain root.ext4
echo "sealpart export: identical"
cryptsetup reencrypt --decrypt --header root.header --key-file root.key --batch-mode --force-offline-reencrypt root.luks
cmp -n "$(stat -c %s root.ext4)" root.luks root.ext4
echo "cryptsetup reencrypt --decrypt: identical"
run e2fsck -fn root.plain

step "proof: no plain text is left on the disk"
! grep -q -a -m1 'Package fmt implements' disk.img
echo "a sentence of the plain files is nowhere on it"
printf '\ndone\n'
