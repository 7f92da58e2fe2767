//go:build cgo

package pkcs11

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/miekg/pkcs11"
)

// Built reports whether this program can load PKCS#11 modules.
const Built = true

// card is a session with the token that a URI means.
type card struct {
	where   place
	terms   terms
	module  *module
	slot    uint
	session pkcs11.SessionHandle
	key     any    // the public key that the terms choose, nil where none has been yet
	id      []byte // its CKA_ID
	sum     string // its fingerprint
}

// chosen returns the fingerprint of the key that the terms have chosen, and whether one has
// to be and is not yet.
func (c *card) chosen() (sum string, missing bool) {
	return c.sum, len(c.terms.sums) > 0 && c.key == nil
}

// openCard finds the one token that the URI and the terms fit. A module that cannot be loaded or
// started, as one whose daemon does not run, is an error only where no other has it.
func openCard(where place, t terms, modules []string) (*card, error) {
	var broken []string
	var other error
	missing := 0
	for _, file := range modules {
		module, err := load(file)
		switch {
		case errors.Is(err, os.ErrNotExist):
			missing++
			continue
		case err != nil:
			return nil, fmt.Errorf("PKCS#11 module: %w", err)
		case module == nil:
			broken = append(broken, file+" cannot be loaded")
			continue
		}
		c := &card{where: where, terms: t, module: module}
		err = c.open()
		if err == nil {
			return c, nil
		}
		c.end()
		switch {
		case errors.Is(err, ErrModule):
			broken = append(broken, fmt.Sprintf("%s does not start (%v)", file, err))
		case errors.Is(err, ErrOther):
			other = err // another module may have the right one
		case !errors.Is(err, ErrNoToken):
			return nil, err
		}
	}
	switch {
	case other != nil:
		return nil, other
	case len(broken) > 0: // it may be that one that has the token
		return nil, where.fail(ErrModule, "%s", strings.Join(broken, ", "))
	case missing == len(modules):
		return nil, where.fail(ErrNoModule, "%s is not there", strings.Join(modules, ", "))
	}
	return nil, where.fail(ErrNoToken, "in %s", strings.Join(modules, ", "))
}

// open starts the module and a session.
func (c *card) open() error {
	err := c.module.Initialize()
	if err != nil && !errors.Is(err, pkcs11.Error(pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED)) {
		return c.where.fail(ErrModule, "%v", err)
	}
	slots, err := c.module.GetSlotList(true)
	if err != nil {
		return c.where.fail(ErrModule, "list the slots: %v", err)
	}
	var found []uint
	for _, slot := range slots {
		info, err := c.module.GetTokenInfo(slot)
		if err == nil && info.Flags&pkcs11.CKF_TOKEN_INITIALIZED != 0 && c.where.fits(info.Label, info.ManufacturerID, info.SerialNumber, info.Model) {
			found = append(found, slot)
		}
	}
	switch {
	case len(found) == 0:
		return c.where.fail(ErrNoToken, "")
	case len(c.terms.sums) > 0:
		return c.openChosen(found)
	case len(found) > 1:
		return c.where.fail(ErrSeveral, "%d tokens", len(found))
	case c.loose(found[0]):
		return c.where.fail(ErrLoose, "")
	}
	return c.enter(found[0])
}

// loose reports whether a slot is one that anything can be put into, where the terms want
// one that is part of the machine. One that says nothing of itself counts as such.
func (c *card) loose(slot uint) bool {
	if !c.terms.fixed {
		return false
	}
	info, err := c.module.GetSlotInfo(slot)
	return err != nil || info.Flags&pkcs11.CKF_REMOVABLE_DEVICE != 0
}

// enter opens a session with the token of a slot.
func (c *card) enter(slot uint) (err error) {
	c.slot = slot
	if c.session, err = c.module.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION); err != nil {
		return c.where.fail(ErrKey, "open a session: %v", err)
	}
	return nil
}

// openChosen opens a session with that token which has the key that the terms choose. One
// that shows no key yet may turn out to be it, where nothing else is.
func (c *card) openChosen(slots []uint) error {
	var hidden []uint
	if slots = slices.DeleteFunc(slots, c.loose); len(slots) == 0 {
		return c.where.fail(ErrLoose, "")
	}
	for _, slot := range slots {
		if err := c.enter(slot); err != nil {
			return err
		}
		shows, err := c.choose()
		if err == nil && c.key != nil {
			return nil
		}
		_ = c.module.CloseSession(c.session)
		if err == nil && !shows {
			hidden = append(hidden, slot)
		}
	}
	switch {
	case len(hidden) == 0:
		return c.where.fail(ErrOther, "%d tokens, and none has the key %s", len(slots), strings.Join(c.terms.sums, " or "))
	case !c.terms.hidden:
		return c.where.fail(ErrHidden, "")
	case len(hidden) > 1:
		return c.where.fail(ErrSeveral, "%d tokens", len(hidden))
	}
	return c.enter(hidden[0])
}

// close ends the session, and with it the login.
func (c *card) close() {
	_ = c.module.CloseSession(c.session)
	c.end()
}

// end unloads the module.
func (c *card) end() {
	_ = c.module.Finalize()
	c.module.Destroy()
}

// flags are what the token says of itself now.
func (c *card) flags() uint {
	info, err := c.module.GetTokenInfo(c.slot)
	if err != nil {
		return 0
	}
	return info.Flags
}

// identity tells one token from all others, by whichever URI it was found.
func (c *card) identity() string {
	info, err := c.module.GetTokenInfo(c.slot)
	if err != nil {
		return c.where.uri
	}
	return strings.Join([]string{info.ManufacturerID, info.Model, info.SerialNumber, info.Label}, "\x00")
}

func (c *card) wantsPIN() bool { return c.flags()&pkcs11.CKF_LOGIN_REQUIRED != 0 }

func (c *card) hasPINPad() bool { return c.flags()&pkcs11.CKF_PROTECTED_AUTHENTICATION_PATH != 0 }

func (c *card) tries() tries {
	f := c.flags()
	return tries{
		last: f&pkcs11.CKF_USER_PIN_FINAL_TRY != 0, locked: f&pkcs11.CKF_USER_PIN_LOCKED != 0,
		fewer: f&pkcs11.CKF_USER_PIN_COUNT_LOW != 0,
	}
}

// login logs in, with what is typed on the token where text is nil.
func (c *card) login(what login, text []byte) error {
	as := uint(pkcs11.CKU_USER)
	if what == forOperation {
		as = pkcs11.CKU_CONTEXT_SPECIFIC
	}
	err := c.module.Login(c.session, as, text)
	switch {
	case err == nil, errors.Is(err, pkcs11.Error(pkcs11.CKR_USER_ALREADY_LOGGED_IN)):
		return nil
	case what == forOperation && errors.Is(err, pkcs11.Error(pkcs11.CKR_OPERATION_NOT_INITIALIZED)):
		return nil // a derivation is one call; such modules do not want it there
	case errors.Is(err, pkcs11.Error(pkcs11.CKR_PIN_LOCKED)):
		return c.where.fail(ErrLocked, "")
	}
	detail := err.Error()
	if left := c.tries().spoken(); left != "" {
		detail += "; " + left
	}
	return c.where.fail(ErrPIN, "%s", detail)
}
