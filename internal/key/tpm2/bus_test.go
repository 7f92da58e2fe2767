package tpm2

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealpart/sealpart/internal/testenv"
)

// tap sits on the bus between us and a TPM.
type tap struct {
	channel
	before func(command []byte)
	after  func(command, response []byte) []byte
}

func (b *tap) exchange(ctx context.Context, command []byte) ([]byte, error) {
	if b.before != nil {
		b.before(command)
	}
	response, err := b.channel.exchange(ctx, command)
	if err == nil && b.after != nil {
		response = b.after(command, response)
	}
	return response, err
}

func commandCode(command []byte) tpm2.TPMCC {
	return tpm2.TPMCC(binary.BigEndian.Uint32(command[6:]))
}

func TestSecretIsNotOnTheBus(t *testing.T) {
	tpm := open(t, testenv.StartSWTPM(t))
	var traffic bytes.Buffer
	tpm.link.channel = &tap{channel: tpm.link.channel,
		before: func(command []byte) { traffic.Write(command) },
		after:  func(_, response []byte) []byte { traffic.Write(response); return response },
	}
	secret := newSecret(t)
	tok, err := tpm.Seal(secret, Binding{PCRs: []int{7}})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tpm.Unseal(tok, nil); err != nil || !bytes.Equal(got, secret) {
		t.Fatal(err)
	}
	if !bytes.Contains(traffic.Bytes(), tok.PolicyHashes[0]) {
		t.Fatal("the tap does not hear the policy: it would not hear the secret either")
	}
	if bytes.Contains(traffic.Bytes(), secret[:8]) || bytes.Contains(traffic.Bytes(), secret[24:]) {
		t.Error("the secret is on the bus in plain text")
	}
}

// Whatever byte of whatever response is changed or missing on the bus, Unseal
// returns the secret or an error, and never something else.
func TestUnsealWithTamperedResponses(t *testing.T) {
	device := testenv.StartSWTPM(t)
	// A nonce changed on the way makes our HMAC wrong, and the TPM counts that.
	run(t, device, "tpm2_dictionarylockout", "--setup-parameters", "--max-tries=100000", "--recovery-time=1", "--lockout-recovery-time=1")
	tpm := open(t, device)
	secret := newSecret(t)
	tok, err := tpm.Seal(secret, Binding{PCRs: []int{7}})
	if err != nil {
		t.Fatal(err)
	}
	direct := tpm.link.channel
	attempt := func(tamper func(n int, response []byte) []byte) {
		n := 0
		tpm.link.channel = &tap{channel: direct, after: func(command, response []byte) []byte {
			if commandCode(command) != tpm2.TPMCCFlushContext {
				response = tamper(n, response)
				n++
			}
			return response
		}}
		if got, err := tpm.Unseal(tok, nil); err == nil && !bytes.Equal(got, secret) {
			t.Error("another secret came back, without an error")
		}
	}
	var sizes []int
	attempt(func(_ int, response []byte) []byte { sizes = append(sizes, len(response)); return response })
	if len(sizes) < 7 {
		t.Fatalf("unsealing took %d commands", len(sizes))
	}
	// Handles are left alone: with a wrong one swtpm would fill up.
	for target, size := range sizes {
		for at := headerSize + 4; at < size; at += 1 + size/25 {
			attempt(func(n int, response []byte) []byte {
				if n == target && at < len(response) {
					response[at] ^= 0x81
				}
				return response
			})
			attempt(func(n int, response []byte) []byte {
				if n == target && at < len(response) {
					binary.BigEndian.PutUint32(response[2:], uint32(at))
					return response[:at]
				}
				return response
			})
		}
	}
	tpm.link.channel = direct
	if got, err := tpm.Unseal(tok, nil); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("unsealed after all that: %v", err)
	}
}

// A PCR that is not ours is extended between our policy and our unsealing: the TPM
// says so, and the second try succeeds. Forever in between, it must end.
func TestUnsealWhilePCRsChange(t *testing.T) {
	device := testenv.StartSWTPM(t)
	tpm, other := open(t, device), open(t, device)
	secret := newSecret(t)
	tok, err := tpm.Seal(secret, Binding{PCRs: []int{7}})
	if err != nil {
		t.Fatal(err)
	}
	for _, disturbed := range []int{1, pcrAttempts} {
		tries := 0
		direct := tpm.link.channel
		tpm.link.channel = &tap{channel: direct, before: func(command []byte) {
			if commandCode(command) != tpm2.TPMCCUnseal {
				return
			}
			if tries++; tries <= disturbed {
				extendDirectly(t, other, 8)
			}
		}}
		got, err := tpm.Unseal(tok, nil)
		if disturbed == 1 && (err != nil || !bytes.Equal(got, secret) || tries != 2) {
			t.Errorf("after %d tries: %v", tries, err)
		}
		if disturbed == pcrAttempts && (err == nil || errors.Is(err, ErrPolicy) || tries != pcrAttempts) {
			t.Errorf("after %d tries: %v", tries, err)
		}
		tpm.link.channel = direct
	}
}

// Values of different moments must not be mixed.
func TestPCRsAreOfOneMoment(t *testing.T) {
	device := testenv.StartSWTPM(t)
	tpm, other := open(t, device), open(t, device)
	reads := 0
	tpm.link.channel = &tap{channel: tpm.link.channel, before: func(command []byte) {
		if reads++; reads == 2 { // the first eight have been read
			extendDirectly(t, other, 8)
			extendDirectly(t, other, 23)
		}
	}}
	values, err := tpm.PCRs("sha256", []int{8, 9, 10, 11, 12, 13, 14, 15, 16, 23})
	if err != nil || !bytes.Equal(values[8], values[23]) || bytes.Equal(values[8], values[9]) {
		t.Errorf("PCR 8 %x, PCR 23 %x, %v", values[8], values[23], err)
	}
}

func extendDirectly(t *testing.T, tpm *TPM, pcr tpm2.TPMHandle) {
	t.Helper()
	_, err := tpm2.PCRExtend{
		PCRHandle: tpm2.AuthHandle{Handle: pcr, Auth: tpm2.PasswordAuth(nil)},
		Digests: tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{
			{HashAlg: tpm2.TPMAlgSHA256, Digest: bytes.Repeat([]byte{1}, 32)},
		}},
	}.Execute(tpm.link)
	if err != nil {
		t.Fatal(err)
	}
}
