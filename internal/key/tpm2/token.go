package tpm2

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sealpart/sealpart/disk"
)

// tokenType is the LUKS2 token type that systemd-cryptsetup looks for.
const tokenType = disk.TokenTPM2

// maxToken bounds the JSON of one token; a real one has about 600 bytes, with a
// public key and a pcrlock handle some 3000.
const maxToken = 64 << 10

// maxKeyslots is that of a LUKS2 header.
const maxKeyslots = 32

// Token is a systemd-tpm2 token: a sealed secret, and what it is bound to. All
// fields of systemd up to 262 are here. The names in JSON stand beside the fields.
type Token struct {
	Keyslots      []int    // "keyslots": exactly one when in use, none when its slot is gone
	Blobs         [][]byte // "tpm2-blob": sealed objects; one, or several shards (257+)
	PolicyHashes  [][]byte // "tpm2-policy-hash": as many as Blobs
	PCRs          []int    // "tpm2-pcrs": PCRs bound by value; ascending, may be none
	Bank          string   // "tpm2-pcr-bank": "" before 250
	PrimaryAlg    string   // "tpm2-primary-alg": "ecc", "rsa"; "" is ecc
	PIN           bool     // "tpm2-pin"
	Salt          []byte   // "tpm2_salt": of the PIN
	SRK           []byte   // "tpm2_srk": serialised persistent storage key; nil: it is made anew
	PublicKey     []byte   // "tpm2_pubkey": PEM, of the key that signs PCR policies
	PublicKeyPCRs []int    // "tpm2_pubkey_pcrs": PCRs bound by signature
	PCRLock       bool     // "tpm2_pcrlock"
	PCRLockNV     []byte   // "tpm2_pcrlock_nv": serialised handle of the policy's NV index
	// PublicKeyRef is "tpm2_pubkey_ref" (262): what signatures must have been made for.
	PublicKeyRef string
	// Hardening is "tpm2_argon2id_memcost", "_iterations" and "_lanes" (262): of the PIN.
	Hardening Hardening
	// Extra holds the fields of newer versions, as they were.
	Extra map[string]json.RawMessage
}

// Passphrase is the text that opens the keyslot: the secret in base64, with
// padding, without newline. The caller wipes both.
func Passphrase(secret []byte) []byte {
	text := make([]byte, base64.StdEncoding.EncodedLen(len(secret)))
	base64.StdEncoding.Encode(text, secret)
	return text
}

// ParseToken reads the JSON of a LUKS2 token of type systemd-tpm2. Whatever comes
// back is whole: PCRs, sizes and hashes are in range, and blobs can be taken apart.
func ParseToken(raw []byte) (Token, error) {
	var tok Token
	return tok, tok.UnmarshalJSON(raw)
}

// UnmarshalJSON is ParseToken.
func (tok *Token) UnmarshalJSON(raw []byte) error {
	if len(raw) > maxToken {
		return fmt.Errorf("token of type %s: %d bytes, at most %d", tokenType, len(raw), maxToken)
	}
	parsed, err := parseToken(raw)
	if err == nil {
		err = parsed.check()
	}
	if err != nil {
		return fmt.Errorf("token of type %s: %w", tokenType, err)
	}
	*tok = parsed
	return nil
}

func parseToken(raw []byte) (tok Token, err error) {
	f := fields{}
	if err := json.Unmarshal(raw, &f.values); err != nil {
		return tok, err
	}
	var kind string
	var slots []string
	var hashes list[hexBytes]
	var blobs list[[]byte]
	f.required("type", &kind)
	f.required("keyslots", &slots)
	f.required("tpm2-blob", &blobs)
	f.required("tpm2-policy-hash", &hashes)
	f.required("tpm2-pcrs", &tok.PCRs)
	f.optional("tpm2-pcr-bank", &tok.Bank)
	f.optional("tpm2-primary-alg", &tok.PrimaryAlg)
	f.optional("tpm2-pin", &tok.PIN)
	f.optional("tpm2_salt", &tok.Salt)
	f.optional("tpm2_srk", &tok.SRK)
	f.optional("tpm2_pubkey", &tok.PublicKey)
	f.optional("tpm2_pubkey_pcrs", &tok.PublicKeyPCRs)
	f.optional("tpm2_pcrlock", &tok.PCRLock)
	f.optional("tpm2_pcrlock_nv", &tok.PCRLockNV)
	f.optional("tpm2_pubkey_ref", &tok.PublicKeyRef)
	f.optional("tpm2_argon2id_memcost", &tok.Hardening.Memory)
	f.optional("tpm2_argon2id_iterations", &tok.Hardening.Iterations)
	f.optional("tpm2_argon2id_lanes", &tok.Hardening.Lanes)
	if f.err == nil && kind != tokenType {
		f.err = fmt.Errorf("type is %.40q", kind)
	}
	if f.err == nil {
		tok.Keyslots, f.err = parseKeyslots(slots)
	}
	tok.Blobs = blobs
	for _, h := range hashes {
		tok.PolicyHashes = append(tok.PolicyHashes, h)
	}
	tok.PCRs, tok.PublicKeyPCRs = normalPCRs(tok.PCRs), normalPCRs(tok.PublicKeyPCRs)
	if len(f.values) > 0 {
		tok.Extra = f.values
	}
	return tok, f.err
}

// check is about what one can tell without a TPM.
func (tok Token) check() error {
	for _, slot := range tok.Keyslots {
		if slot < 0 || slot >= maxKeyslots {
			return fmt.Errorf("keyslot %d is not one of 0 to %d", slot, maxKeyslots-1)
		}
	}
	if err := checkPCRs(slices.Concat(tok.PCRs, tok.PublicKeyPCRs)); err != nil {
		return err
	}
	if tok.Bank != "" {
		if _, err := bankNamed(tok.Bank); err != nil {
			return err
		}
	}
	if !slices.Contains([]string{"", algECC, algRSA}, tok.PrimaryAlg) {
		return fmt.Errorf("tpm2-primary-alg %.40q is not ecc or rsa", tok.PrimaryAlg)
	}
	if err := tok.Hardening.check(); err != nil {
		return err
	}
	if tok.Hardening != (Hardening{}) && len(tok.Salt) == 0 {
		return errors.New("tpm2_argon2id_memcost without tpm2_salt")
	}
	if len(tok.PublicKeyPCRs) > 0 && len(tok.PublicKey) == 0 {
		return errors.New("tpm2_pubkey_pcrs without tpm2_pubkey")
	}
	if len(tok.Blobs) == 0 || len(tok.Blobs) != len(tok.PolicyHashes) {
		return fmt.Errorf("%d blobs and %d policy hashes", len(tok.Blobs), len(tok.PolicyHashes))
	}
	for _, blob := range tok.Blobs {
		if _, err := parseBlob(blob); err != nil {
			return fmt.Errorf("tpm2-blob: %w", err)
		}
	}
	if len(tok.SRK) > 0 {
		if _, err := parsePersistentKey(tok.SRK); err != nil {
			return fmt.Errorf("tpm2_srk: %w", err)
		}
	}
	return nil
}

// MarshalJSON writes the token as systemd would, fields that are empty not at all, and
// Extra as it came. tpm2-pin is left away where it is false, as systemd since 256 does, but
// not where tpm2_srk is: that is the form of older versions. It refuses what ParseToken would refuse.
func (tok Token) MarshalJSON() ([]byte, error) {
	if err := tok.check(); err != nil {
		return nil, fmt.Errorf("token of type %s: %w", tokenType, err)
	}
	slots := make([]string, len(tok.Keyslots))
	for i, slot := range tok.Keyslots {
		slots[i] = fmt.Sprint(slot)
	}
	var hashes list[hexBytes]
	for _, h := range tok.PolicyHashes {
		hashes = append(hashes, h)
	}
	out := map[string]any{
		"type": tokenType, "keyslots": slots, "tpm2-blob": list[[]byte](tok.Blobs),
		"tpm2-policy-hash": hashes, "tpm2-pcrs": normalPCRs(tok.PCRs),
	}
	put(out, "tpm2-pin", tok.PIN, tok.PIN || tok.SRK == nil)
	put(out, "tpm2-pcr-bank", tok.Bank, tok.Bank != "")
	put(out, "tpm2-primary-alg", tok.PrimaryAlg, tok.PrimaryAlg != "")
	put(out, "tpm2_salt", tok.Salt, tok.Salt != nil)
	put(out, "tpm2_srk", tok.SRK, tok.SRK != nil)
	put(out, "tpm2_pubkey", tok.PublicKey, tok.PublicKey != nil)
	put(out, "tpm2_pubkey_pcrs", tok.PublicKeyPCRs, len(tok.PublicKeyPCRs) > 0)
	put(out, "tpm2_pcrlock", tok.PCRLock, tok.PCRLock)
	put(out, "tpm2_pcrlock_nv", tok.PCRLockNV, tok.PCRLockNV != nil)
	put(out, "tpm2_pubkey_ref", tok.PublicKeyRef, tok.PublicKeyRef != "")
	hardened := tok.Hardening != Hardening{}
	put(out, "tpm2_argon2id_memcost", tok.Hardening.Memory, hardened)
	put(out, "tpm2_argon2id_iterations", tok.Hardening.Iterations, hardened)
	put(out, "tpm2_argon2id_lanes", tok.Hardening.Lanes, hardened)
	for name, value := range tok.Extra {
		put(out, name, value, out[name] == nil)
	}
	return json.Marshal(out)
}

func put(out map[string]any, name string, value any, present bool) {
	if present {
		out[name] = value
	}
}

// unknownFields are the names in Extra that are not ours, for a message.
func (tok Token) unknownFields() string {
	names := slices.Sorted(maps.Keys(tok.Extra))
	return strings.Join(slices.DeleteFunc(names, func(name string) bool { return name == valuesField || name == disk.TokenMAC }), ", ")
}
