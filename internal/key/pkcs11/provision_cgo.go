//go:build cgo

package pkcs11

import (
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"

	"github.com/sealpart/sealpart/definitions"
)

// provisionCard brings a token from where it is to one with the key of the URI. What a
// power cut leaves after each step, and how the next run knows it:
//
//   - a blank token: nothing was done;
//   - initialised, with the label of the URI: no user PIN was ever set, so nobody can have
//     put a private key there, and nothing else is there; its security officer has our PIN;
//   - the mark, and then the user PIN: what keys there are were not finished, and nothing
//     depends on them. They are made anew;
//   - no mark: all is there.
//
// A token that is in none of the first three states is left as it is. pin is called only
// for those.
func provisionCard(where place, t terms, module string, key definitions.Key, pin func() ([]byte, error)) error {
	c, err := openCard(where, t, []string{module})
	if errors.Is(err, ErrNoToken) {
		c, err = initialise(where, t, module, key.Slot, pin)
	}
	if err != nil {
		return err
	}
	defer c.close()
	if begun, err := c.begun(); err != nil || !begun {
		return err
	}
	text, err := pin()
	if err != nil {
		return err
	}
	if err := c.reopen(); err != nil {
		return err
	}
	if err := c.setPIN(text); err != nil {
		return err
	}
	return c.makeKey(key.KeyType, text)
}

// initialise gives a blank token the label of the URI, and opens it.
func initialise(where place, t terms, module string, slot *uint, pin func() ([]byte, error)) (*card, error) {
	loaded, err := load(module)
	if err != nil {
		return nil, fmt.Errorf("PKCS#11 module: %w", err)
	}
	if loaded == nil {
		return nil, where.fail(ErrNoModule, "%s cannot be loaded", module)
	}
	c := &card{where: where, terms: t, module: loaded}
	err = c.initialise(slot, pin)
	if err == nil {
		err = c.open() // it may be in another slot now
	}
	if err != nil {
		c.end()
		return nil, err
	}
	return c, nil
}

func (c *card) initialise(slot *uint, pin func() ([]byte, error)) error {
	if err := c.module.Initialize(); err != nil {
		return c.where.fail(ErrNoModule, "%v", err)
	}
	blank, info, err := c.blank(slot)
	if err != nil {
		return err
	}
	text, err := pin()
	if err != nil {
		return err
	}
	// Later it would be refused with the token half made.
	if n := uint(len(text)); n < info.MinPinLen || info.MaxPinLen > 0 && n > info.MaxPinLen {
		return c.where.fail(ErrMaking, "its PINs have from %d to %d characters, and this one has %d", info.MinPinLen, info.MaxPinLen, n)
	}
	if err := c.module.InitToken(blank, text, c.where.token); err != nil {
		return c.where.fail(ErrMaking, "initialise it: %v", err)
	}
	return nil
}

// blank returns the first slot with a token that was never initialised, or the one that is
// named.
func (c *card) blank(named *uint) (uint, pkcs11.TokenInfo, error) {
	slots, err := c.module.GetSlotList(true)
	if err != nil {
		return 0, pkcs11.TokenInfo{}, c.where.fail(ErrNoBlank, "list the slots: %v", err)
	}
	for _, slot := range slots {
		if named != nil && slot != *named {
			continue
		}
		info, err := c.module.GetTokenInfo(slot)
		if err == nil && info.Flags&pkcs11.CKF_TOKEN_INITIALIZED == 0 && !c.loose(slot) && c.where.fits(c.where.token, info.ManufacturerID, info.SerialNumber, info.Model) {
			return slot, info, nil
		}
	}
	detail := fmt.Sprintf("in %d slots", len(slots))
	if named != nil {
		detail = fmt.Sprintf("in slot %d", *named)
	}
	return 0, pkcs11.TokenInfo{}, c.where.fail(ErrNoBlank, "%s", detail)
}

// begun reports whether the token was begun here and not finished.
func (c *card) begun() (bool, error) {
	info, err := c.module.GetTokenInfo(c.slot)
	if err != nil {
		return false, c.where.fail(ErrMaking, "%v", err)
	}
	marks, err := c.match(c.mark())
	if err != nil || len(marks) > 0 {
		return err == nil, err
	}
	if info.Flags&pkcs11.CKF_USER_PIN_INITIALIZED != 0 {
		return false, nil
	}
	others, err := c.match(nil)
	return len(others) == 0, err
}

// mark is the object that says that the token is in the making.
func (*card) mark() []*pkcs11.Attribute {
	return []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_DATA), pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
		pkcs11.NewAttribute(pkcs11.CKA_APPLICATION, markApplication), pkcs11.NewAttribute(pkcs11.CKA_LABEL, markLabel),
	}
}

// reopen replaces the session by one that may write.
func (c *card) reopen() (err error) {
	_ = c.module.CloseSession(c.session)
	if c.session, err = c.module.OpenSession(c.slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION); err != nil {
		return c.where.fail(ErrMaking, "open a session: %v", err)
	}
	return nil
}

// setPIN marks a token, and gives it the user PIN, where it has none yet.
func (c *card) setPIN(pin []byte) error {
	flags := c.flags()
	switch {
	case flags&pkcs11.CKF_USER_PIN_INITIALIZED != 0:
		return nil
	case flags&(pkcs11.CKF_SO_PIN_LOCKED|pkcs11.CKF_SO_PIN_FINAL_TRY) != 0:
		return c.where.fail(ErrLastTry, "that of its security officer")
	}
	if err := c.module.Login(c.session, pkcs11.CKU_SO, pin); err != nil {
		return c.where.fail(ErrPIN, "as that of its security officer, who has the user's in a token that was made here: %v", err)
	}
	// The mark first: a user PIN without it would look like the token of somebody else.
	marks, err := c.match(c.mark())
	if err == nil && len(marks) == 0 {
		_, err = c.module.CreateObject(c.session, append(c.mark(), pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, false)))
	}
	if err == nil {
		err = c.module.InitPIN(c.session, pin)
	}
	if err == nil {
		err = c.module.Logout(c.session)
	}
	if err != nil {
		return c.where.fail(ErrMaking, "set the PIN: %v", err)
	}
	return nil
}
