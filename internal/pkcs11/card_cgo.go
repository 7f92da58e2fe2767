//go:build cgo

package pkcs11

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"github.com/miekg/pkcs11"
)

// Built tells whether this program can load PKCS#11 modules.
const Built = true

// card is a session with the token that a URI means.
type card struct {
	where   place
	module  *pkcs11.Ctx
	slot    uint
	session pkcs11.SessionHandle
}

// openCard finds the one token that the URI fits. A module that cannot be loaded or
// started, as one whose daemon does not run, is an error only where no other has it.
func openCard(where place, modules []string) (*card, error) {
	var broken []string
	missing := 0
	for _, file := range modules {
		module := pkcs11.New(file)
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) && module == nil {
			missing++
			continue
		}
		if module == nil {
			broken = append(broken, file+" cannot be loaded")
			continue
		}
		c := &card{where: where, module: module}
		err := c.open()
		if err == nil {
			return c, nil
		}
		c.end()
		switch {
		case errors.Is(err, ErrModule):
			broken = append(broken, fmt.Sprintf("%s does not start (%v)", file, err))
		case !errors.Is(err, ErrNoToken):
			return nil, err
		}
	}
	switch {
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
	switch len(found) {
	case 0:
		return c.where.fail(ErrNoToken, "")
	case 1:
	default:
		return c.where.fail(ErrSeveral, "%d tokens", len(found))
	}
	c.slot = found[0]
	if c.session, err = c.module.OpenSession(c.slot, pkcs11.CKF_SERIAL_SESSION); err != nil {
		return c.where.fail(ErrKey, "open a session: %v", err)
	}
	return nil
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
	err := c.module.Login(c.session, as, shared(text))
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

// shared is a secret as a string of the same memory, so that no copy is left to the
// garbage collector.
func shared(text []byte) string { return unsafe.String(unsafe.SliceData(text), len(text)) }
