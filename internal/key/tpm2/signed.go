package tpm2

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/google/go-tpm/tpm2"
)

// signer is the key whose owner says, by signatures, which values PCRs may have: who ships
// an update signs what the machine will measure then, and nothing is sealed anew.
type signer struct {
	public      tpm2.TPMTPublic
	name        tpm2.TPM2BName
	fingerprint [sha256.Size]byte // of the PKCS#1 form of the key
	pcrs        []int             // that the signatures are about
	ref         string            // what they were made for, "" where that does not matter
}

// newSigner reads the PEM text of an RSA public key. Signatures of other kinds of key are
// not made by anybody.
func newSigner(text []byte, pcrs []int, ref string) (*signer, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, errors.New(`the key of the signed policy is not PEM text with a "PUBLIC KEY"`)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the key of the signed policy: %w", err)
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok || key.Size() > 512 {
		return nil, fmt.Errorf("the key of the signed policy is no RSA key of up to 4096 bits: %w", ErrUnsupported)
	}
	s := &signer{public: signerPublic(key), fingerprint: sha256.Sum256(x509.MarshalPKCS1PublicKey(key)), pcrs: normalPCRs(pcrs), ref: ref}
	name, err := tpm2.ObjectName(&s.public)
	if err == nil {
		s.name = *name
	}
	return s, err
}

// signerPublic is the public area whose name is in the policy; every bit counts.
func signerPublic(key *rsa.PublicKey) tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type: tpm2.TPMAlgRSA, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{UserWithAuth: true, Decrypt: true, SignEncrypt: true},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgRSA, &tpm2.TPMSRSAParms{
			KeyBits: tpm2.TPMKeyBits(8 * key.Size()), Exponent: uint32(key.E),
		}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: key.N.Bytes()}),
	}
}

// policyRef is what the policy says of the purpose of signatures.
func (s *signer) policyRef() tpm2.TPM2BDigest {
	if s.ref == "" {
		return tpm2.TPM2BDigest{}
	}
	sum := sha256.Sum256([]byte(s.ref))
	return tpm2.TPM2BDigest{Buffer: sum[:]}
}

// signature is one of a file of signatures: by a key, over the policy of PCRs with certain
// values.
type signature struct {
	PCRs        []int    `json:"pcrs"`
	Fingerprint hexBytes `json:"pkfp"`
	Ref         string   `json:"ref"`
	Policy      hexBytes `json:"pol"`
	Signature   []byte   `json:"sig"` // RSASSA-PKCS1-v1_5 with SHA-256
}

// signatures are those of a file, by PCR bank. systemd-measure(1) writes them.
type signatures map[string][]signature

func parseSignatures(raw []byte) (signatures, error) {
	var s signatures
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("signatures of PCR policies: %w", err)
	}
	return s, nil
}

// find returns a signature over a policy digest.
func (s signatures) find(b bank, by *signer, digest []byte) ([]byte, bool) {
	for _, one := range s[b.name] {
		if slices.Equal(normalPCRs(one.PCRs), by.pcrs) && bytes.Equal(one.Fingerprint, by.fingerprint[:]) &&
			one.Ref == by.ref && bytes.Equal(one.Policy, digest) {
			return one.Signature, true
		}
	}
	return nil, false
}

// takeSigned takes a policy session to what the signer has signed: the PCRs as they are
// now, and in their place the signer's name. TPM 2.0 Library Part 3, 23.16.
func (t *TPM) takeSigned(session *policySession, b bank, by *signer) error {
	step := tpm2.PolicyPCR{PolicySession: session.Handle(), Pcrs: selection(b, by.pcrs)}
	if _, err := step.Execute(t.link); err != nil {
		return failed("bind a policy session to PCRs "+pcrList(by.pcrs), err)
	}
	digest, err := t.policyDigest(session)
	if err != nil {
		return err
	}
	known, err := t.Search.signatures()
	if err != nil {
		return fmt.Errorf("%w: PCRs %s need a signature: %w", ErrPolicy, pcrList(by.pcrs), err)
	}
	signed, found := known.find(b, by, digest)
	if !found {
		return fmt.Errorf("%w: PCRs %s (%s) are as the key %x has not signed them (no signature over %x)",
			ErrPolicy, pcrList(by.pcrs), b.name, by.fingerprint, digest)
	}
	ticket, err := t.verify(by, digest, signed)
	if err != nil {
		return err
	}
	_, err = tpm2.PolicyAuthorize{
		PolicySession: session.Handle(), ApprovedPolicy: tpm2.TPM2BDigest{Buffer: digest},
		PolicyRef: by.policyRef(), KeySign: by.name, CheckTicket: ticket,
	}.Execute(t.link)
	if err != nil {
		return failed("bind a policy session to a signature", err)
	}
	return nil
}

// unsigned says why what needs a signature over PCRs cannot be unsealed now, "" where one over
// the values that they have is at hand: who ships an update may sign what is measured only
// in another phase of the boot, or bring the signatures later.
func (t *TPM) unsigned(by *signer, bankName string) (string, error) {
	defer t.release()
	b, err := bankNamed(bankName)
	if err != nil {
		return "", err
	}
	values, err := t.PCRs(b.name, by.pcrs)
	if err != nil {
		return "", err
	}
	digest, err := terms{bank: b, pcrs: by.pcrs}.digest(values)
	if err != nil {
		return "", err
	}
	known, err := t.Search.signatures()
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Sprintf("PCRs %s need a signature: %v", pcrList(by.pcrs), err), nil
	}
	if _, found := known.find(b, by, digest); err != nil || found {
		return "", err
	}
	return fmt.Sprintf("PCRs %s (%s) have no values that the key %x has signed", pcrList(by.pcrs), b.name, by.fingerprint), nil
}

// verify has the TPM check a signature; the ticket says to the TPM that it did.
func (t *TPM) verify(by *signer, policy, signed []byte) (tpm2.TPMTTKVerified, error) {
	key, err := tpm2.LoadExternal{InPublic: tpm2.New2B(by.public), Hierarchy: tpm2.TPMRHOwner}.Execute(t.link)
	if err != nil {
		return tpm2.TPMTTKVerified{}, failed("load the key of the signed policy", err)
	}
	defer tpm2.FlushContext{FlushHandle: key.ObjectHandle}.Execute(t.link)
	ref := by.policyRef()
	message := sha256.Sum256(slices.Concat(policy, ref.Buffer))
	rsp, err := tpm2.VerifySignature{
		KeyHandle: tpm2.NamedHandle{Handle: key.ObjectHandle, Name: key.Name},
		Digest:    tpm2.TPM2BDigest{Buffer: message[:]},
		Signature: tpm2.TPMTSignature{SigAlg: tpm2.TPMAlgRSASSA, Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgRSASSA,
			&tpm2.TPMSSignatureRSA{Hash: tpm2.TPMAlgSHA256, Sig: tpm2.TPM2BPublicKeyRSA{Buffer: signed}})},
	}.Execute(t.link)
	if err != nil {
		return tpm2.TPMTTKVerified{}, fmt.Errorf("%w: the signature over PCRs %s does not hold: %w", ErrPolicy, pcrList(by.pcrs), err)
	}
	return rsp.Validation, nil
}
