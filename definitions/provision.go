package definitions

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/stefanberger/go-pkcs11uri"
)

// maxTokenLabel is how long a token's label can be, in bytes: CK_TOKEN_INFO of PKCS#11.
const maxTokenLabel = 32

// takeSlot takes slot-id (RFC 7512) out of a URI. It says which blank token is meant and
// no more: numbers of slots change, so it is kept in no header.
func takeSlot(text string) (rest string, slot *uint, err error) {
	path, query, asked := strings.Cut(text, "?")
	var attributes []string
	for attribute := range strings.SplitSeq(strings.TrimPrefix(path, "pkcs11:"), ";") {
		number, ok := strings.CutPrefix(attribute, "slot-id=")
		if !ok {
			attributes = append(attributes, attribute)
			continue
		}
		n, err := strconv.ParseUint(number, 10, 32)
		if err != nil || slot != nil {
			return "", nil, fmt.Errorf("has the slot-id %.20q, which is no number of one slot", number)
		}
		slot = new(uint)
		*slot = uint(n)
	}
	if slot == nil {
		return text, nil, nil
	}
	rest = "pkcs11:" + strings.Join(attributes, ";")
	if asked {
		rest += "?" + query
	}
	return rest, slot, nil
}

// provisioning sets how the token of a pkcs11 key is made where it is blank. uri is where
// its URI stands.
func (b *builder) provisioning(k *Key, uri setting, set settings) {
	var s setting
	k.Provision, s, _ = value[bool](set, "provision")
	if !k.Provision {
		if pair, ok := set["key_type"]; ok {
			b.fail(pair, `is for a key pair that is made here, and "provision" is not true`)
		}
		if k.Slot != nil {
			b.fail(uri, `has a slot-id, which is for a blank token, and "provision" is not true`)
		}
		return
	}
	k.KeyType = b.oneOf(set, "key_type", pairs, PairRSA2048)
	if err := checkBlank(k.URI); err != nil {
		b.fail(uri, "%v", err)
	}
	if k.Module == "" {
		b.fail(s, `wants "module": else any blank smart card in this machine could be meant`)
	}
	if k.PIN == "" || k.PIN == SourceAsk {
		b.fail(s, `wants "pin" to be a file, a credential, a socket or a descriptor: a token is made without anybody there`)
	}
}

// checkBlank refuses a URI that does not say what a token in the making shall be.
func checkBlank(text string) error {
	uri := pkcs11uri.New()
	if err := uri.Parse(text); err != nil {
		return err
	}
	label, _ := uri.GetPathAttribute("token", false)
	serial, _ := uri.GetPathAttribute("serial", false)
	switch {
	case label == "" || len(label) > maxTokenLabel:
		return fmt.Errorf(`names no token: "provision" wants token=LABEL, of at most %d bytes`, maxTokenLabel)
	case serial != "":
		return errors.New(`has the serial number of a token, and "provision" makes one that has none yet; a blank one is chosen by slot-id=N`)
	}
	return nil
}
