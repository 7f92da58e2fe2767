package tpm2

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/internal/testenv"
)

// lockIndex is the NV index of the tests, in the range of systemd-pcrlock.
const lockIndex = "0x01800100"

// lockedTo has tpm2-tools make the policy that PCR 7 has one value and PCR 16 one of some,
// and write its digest into the NV index; the file is as systemd-pcrlock(8) writes it.
func lockedTo(t *testing.T, device string, sixteen ...string) (path string) {
	t.Helper()
	dir := t.TempDir()
	script := `cd ` + dir + `
		# branch N: PCR 7 as it is, then PCR 16 with its N-th value
		n=0; list=
		for value in ` + strings.Join(sixteen, " ") + `; do
			printf $value | xxd -r -p >value$n
			tpm2_startauthsession -S trial; tpm2_policypcr -Q -S trial -l sha256:7
			tpm2_policypcr -Q -S trial -l sha256:16 -f value$n -L branch$n
			tpm2_flushcontext trial; list=$list,branch$n; n=$((n+1))
		done
		tpm2_startauthsession -S trial; tpm2_policypcr -Q -S trial -l sha256:7
		tpm2_policypcr -Q -S trial -l sha256:16 -f value0
		tpm2_policyor -Q -S trial -L digest sha256:${list#,}
		tpm2_flushcontext trial
		{ printf '\000\013'; cat digest; } >content
		tpm2_nvreadpublic ` + lockIndex + ` >/dev/null 2>&1 ||
			tpm2_nvdefine -Q -C o -s 34 -g sha256 -a 'ownerread|ownerwrite' ` + lockIndex + `
		tpm2_nvwrite -Q -C o -i content ` + lockIndex + `
		tpm2_startauthsession -S trial; tpm2_policyauthorizenv -Q -S trial -C o -L policy ` + lockIndex + `
		tpm2_flushcontext trial`
	run(t, device, "sh", "-ec", script)
	seven := valueOf(t, open(t, device), 7)
	file, err := json.Marshal(map[string]any{
		"pcrBank": "sha256", "nvIndex": 0x01800100, "nvHandle": []byte("the index"),
		"pcrValues": []any{map[string]any{"pcr": 16, "values": sixteen}, map[string]any{"pcr": 7, "values": []string{hex.EncodeToString(seven)}}},
	})
	if err == nil {
		err = os.WriteFile(dir+"/pcrlock.json", file, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir + "/pcrlock.json"
}

var (
	zeroPCR     = strings.Repeat("00", 32)
	extendedPCR = hex.EncodeToString(sum256(make([]byte, 32), bytes.Repeat([]byte{0xab}, 32))) // what extend makes of it
)

func TestPCRLock(t *testing.T) {
	device := testenv.StartSWTPM(t)
	tpm, secret := open(t, device), newSecret(t)
	path := lockedTo(t, device, zeroPCR, extendedPCR)
	tok, err := tpm.Seal(secret, Binding{PCRLock: path, Newest: true})
	if err != nil {
		t.Fatal(err)
	}
	if theirs, err := os.ReadFile(strings.TrimSuffix(path, "pcrlock.json") + "policy"); err != nil || !bytes.Equal(theirs, tok.PolicyHashes[0]) {
		t.Errorf("policy: tpm2-tools say %x, we %x: %v", theirs, tok.PolicyHashes[0], err)
	}
	unseal := func(when string, is error, text string) {
		t.Helper()
		got, err := tpm.Unseal(tok, nil)
		if is == nil && (err != nil || !bytes.Equal(got, secret)) || is != nil && (!errors.Is(err, is) || !strings.Contains(err.Error(), text)) {
			t.Errorf("%s: %v", when, err)
		}
	}
	unseal("with the first value", nil, "")
	extend(t, device, "16")
	unseal("with the second value", nil, "")
	extend(t, device, "16")
	unseal("with a third", ErrPolicy, "PCR 16 (sha256) is")
	third := hex.EncodeToString(sum256(sum256(make([]byte, 32), bytes.Repeat([]byte{0xab}, 32)), bytes.Repeat([]byte{0xab}, 32)))
	tpm.Search.PCRLock = lockedTo(t, device, extendedPCR, third)
	unseal("after make-policy", nil, "")
	tpm.Search.PCRLock = path
	unseal("with the file of before", ErrPolicy, "PCR 16")
	tpm.Search.PCRLock = "/nowhere/pcrlock.json"
	unseal("without the file", ErrPolicy, "bound to a policy of pcrlock")
}

// A signed policy and one of pcrlock: each guards half of the secret.
func TestShards(t *testing.T) {
	device, v := testenv.StartSWTPM(t), newVendor(t)
	boot(t, device)
	tpm := open(t, device)
	secret := append(newSecret(t), newSecret(t)...)
	tpm.Search.Signatures = v.sign(t, device, "enter-initrd")
	tok, err := tpm.Seal(secret, Binding{PCRLock: lockedTo(t, device, zeroPCR, extendedPCR), PublicKey: v.pem(t), PublicKeyPCRs: []int{11}, Newest: true})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(tok)
	if err != nil {
		t.Fatal(err)
	}
	if tok, err = ParseToken(raw); err != nil || len(tok.Blobs) != 2 {
		t.Fatalf("%d shards, %v", len(tok.Blobs), err)
	}
	if got, err := tpm.Unseal(tok, nil); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("unsealed %d bytes: %v", len(got), err)
	}
	one := tok
	one.Blobs, one.PolicyHashes = tok.Blobs[:1], tok.PolicyHashes[:1]
	if _, err := tpm.Unseal(one, nil); err == nil || !strings.Contains(err.Error(), "1 sealed objects") {
		t.Errorf("one shard alone: %v", err)
	}
	extend(t, device, "16")
	extend(t, device, "16")
	if _, err := tpm.Unseal(tok, nil); !errors.Is(err, ErrPolicy) {
		t.Errorf("against the policy of pcrlock: %v", err)
	}
}

func TestLockPolicyRefuses(t *testing.T) {
	for want, text := range map[string]string{
		"pcrlock":            `{`,
		`"md5"`:              `{"pcrBank":"md5"}`,
		"no NV index":        `{"pcrBank":"sha256","nvIndex":7}`,
		"PCR 24":             `{"pcrBank":"sha256","nvIndex":25165824,"pcrValues":[{"pcr":24,"values":["00"]}]}`,
		"PCR 7 has 0 values": `{"pcrBank":"sha256","nvIndex":25165824,"pcrValues":[{"pcr":7,"values":[]}]}`,
		"a value of 1 bytes": `{"pcrBank":"sha256","nvIndex":25165824,"pcrValues":[{"pcr":7,"values":["00"]}]}`,
		"or is there twice":  `{"pcrBank":"sha256","nvIndex":25165824,"pcrValues":[{"pcr":7,"values":["` + zeroPCR + `"]},{"pcr":7,"values":["` + zeroPCR + `"]}]}`,
		"encoding/hex":       `{"pcrBank":"sha256","nvIndex":25165824,"pcrValues":[{"pcr":7,"values":["0g"]}]}`,
	} {
		if _, err := parseLockPolicy([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
