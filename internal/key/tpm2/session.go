package tpm2

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/sealpart/sealpart/internal/secret"
)

// aesKeySize is that of the cipher for parameters.
const aesKeySize = 16

// policySession is a policy session in which the first parameter of a response comes back
// encrypted, and that proves a PIN's authorization where there is one. go-tpm 0.9.8 has
// such sessions, but takes a zero byte inside an authorization for its end
// (hmacKeyFromAuthValue): the TPM would count one right PIN in eight as wrong. TPM 2.0
// Library Part 1, 19.6 and 21.
type policySession struct {
	handle     tpm2.TPMHandle
	key        []byte         // sessionKey || authorization
	taken      *secret.Buffer // the first parameter of the last response: see Decrypt
	ours       []byte         // nonceCaller
	theirs     []byte         // nonceTPM
	attributes tpm2.TPMASession
}

// startSession starts a policy session whose key is salted with the storage key. The
// caller wipes it.
func (t *TPM) startSession(parent storageKey, auth []byte) (*policySession, error) {
	public, err := tpm2.ImportEncapsulationKey(&parent.public)
	if err != nil {
		return nil, err
	}
	salt, encrypted, err := tpm2.CreateEncryptedSalt(rand.Reader, public)
	if err != nil {
		return nil, err
	}
	defer secret.Wipe(salt)
	s := &policySession{
		ours:       make([]byte, nonceSize),
		attributes: tpm2.TPMASession{ContinueSession: true, Encrypt: true},
	}
	rand.Read(s.ours)
	rsp, err := tpm2.StartAuthSession{
		TPMKey: parent.handle, Bind: tpm2.TPMRHNull, SessionType: tpm2.TPMSEPolicy, AuthHash: tpm2.TPMAlgSHA256,
		NonceCaller:   tpm2.TPM2BNonce{Buffer: s.ours},
		EncryptedSalt: tpm2.TPM2BEncryptedSecret{Buffer: encrypted},
		Symmetric:     tpm2.TPMTSymDef(aes128CFB()),
	}.Execute(t.link)
	if err != nil {
		return nil, err
	}
	s.handle, s.theirs = rsp.SessionHandle, rsp.NonceTPM.Buffer
	session := tpm2.KDFa(crypto.SHA256, salt, "ATH", s.theirs, s.ours, 8*sha256.Size)
	defer secret.Wipe(session)
	s.key = slices.Concat(session, auth)
	return s, nil
}

// wipe forgets the key, and what was taken out of a response.
func (s *policySession) wipe() {
	secret.Wipe(s.key)
	s.taken.Wipe()
}

// Init does nothing: the session was started.
func (s *policySession) Init(transport.TPM) error { return nil }

// CleanupFailure does nothing: the ledger has the session.
func (s *policySession) CleanupFailure(transport.TPM) error { return nil }

// NonceTPM returns the TPM's last nonce.
func (s *policySession) NonceTPM() tpm2.TPM2BNonce { return tpm2.TPM2BNonce{Buffer: s.theirs} }

// NewNonceCaller makes another nonce of ours.
func (s *policySession) NewNonceCaller() error {
	_, err := rand.Read(s.ours)
	return err
}

// Authorize proves the authorization for a command. Part 1, 19.6.5.
func (s *policySession) Authorize(cc tpm2.TPMCC, parms, addNonces []byte, names []tpm2.TPM2BName, _ int) (*tpm2.TPMSAuthCommand, error) {
	command := binary.BigEndian.AppendUint32(nil, uint32(cc))
	for _, name := range names {
		command = append(command, name.Buffer...)
	}
	digest := sha256.Sum256(append(command, parms...))
	return &tpm2.TPMSAuthCommand{
		Handle: s.handle, Nonce: tpm2.TPM2BNonce{Buffer: s.ours}, Attributes: s.attributes,
		Authorization: tpm2.TPM2BData{Buffer: s.mac(digest[:], s.ours, s.theirs, addNonces, s.attributes)},
	}, nil
}

// Validate checks that a response is the TPM's. Part 1, 19.6.5.
func (s *policySession) Validate(rc tpm2.TPMRC, cc tpm2.TPMCC, parms []byte, _ []tpm2.TPM2BName, _ int, auth *tpm2.TPMSAuthResponse) error {
	s.theirs = auth.Nonce.Buffer
	response := binary.BigEndian.AppendUint32(nil, uint32(rc))
	response = binary.BigEndian.AppendUint32(response, uint32(cc))
	digest := sha256.Sum256(append(response, parms...))
	if !hmac.Equal(auth.Authorization.Buffer, s.mac(digest[:], s.theirs, s.ours, nil, auth.Attributes)) {
		return errors.New("the TPM's answer is not authentic")
	}
	return nil
}

// mac is the HMAC over a command or a response.
func (s *policySession) mac(digest, newer, older, addNonces []byte, attributes tpm2.TPMASession) []byte {
	return secret.HMAC256(s.key, digest, newer, older, addNonces, tpm2.Marshal(attributes))
}

// IsEncryption says that responses come encrypted.
func (s *policySession) IsEncryption() bool { return true }

// IsDecryption says that commands do not go encrypted: nothing secret is in them.
func (s *policySession) IsDecryption() bool { return false }

// Encrypt does nothing, as IsDecryption says.
func (s *policySession) Encrypt([]byte) error { return nil }

// Decrypt decrypts the first parameter of a response, and takes it away: zeros are left in its
// place, for go-tpm makes more copies of a response than anybody could wipe. Part 1, 21.3.
func (s *policySession) Decrypt(parameter []byte) error {
	keyIV := s.responseKey()
	defer secret.Wipe(keyIV)
	block, err := aes.NewCipher(keyIV[:aesKeySize])
	if err != nil {
		return fmt.Errorf("decrypt the TPM's answer: %w", err)
	}
	//nolint:staticcheck // CFB is what TPMs have, and Validate has authenticated the answer
	cipher.NewCFBDecrypter(block, keyIV[aesKeySize:]).XORKeyStream(parameter, parameter)
	s.taken.Wipe()
	s.taken, err = secret.Take(parameter)
	return err
}

// responseKey is KDFa(key, "CFB", nonceTPM, nonceCaller), an AES key and an IV: as long as one
// HMAC. Part 1, 11.4.10.2.
func (s *policySession) responseKey() []byte {
	const bits = 8 * (aesKeySize + aes.BlockSize)
	return secret.HMAC256(s.key, []byte{0, 0, 0, 1}, []byte("CFB\x00"), s.theirs, s.ours, binary.BigEndian.AppendUint32(nil, bits))
}

// filled is a session that encrypts the first parameter of TPM2_Create, and puts into it what
// go-tpm was given zeros for, right before: go-tpm makes more copies of a command than anybody
// could wipe.
type filled struct {
	tpm2.Session
	auth, plain []byte
}

// Encrypt fills in a TPMS_SENSITIVE_CREATE, and encrypts it in place. TPM 2.0 Library Part 2,
// 11.1.15.
func (s filled) Encrypt(parameter []byte) error {
	const size = 2 // of the length of each
	if len(parameter) != size+len(s.auth)+size+len(s.plain) {
		return fmt.Errorf("seal the secret: it takes %d bytes of a command, and there are %d", 2*size+len(s.auth)+len(s.plain), len(parameter))
	}
	copy(parameter[size:], s.auth)
	copy(parameter[size+len(s.auth)+size:], s.plain)
	return s.Session.Encrypt(parameter)
}

// Handle returns the session's.
func (s *policySession) Handle() tpm2.TPMHandle { return s.handle }
