//go:build cgo

package pkcs11

/*
#cgo linux LDFLAGS: -ldl
#include <dlfcn.h>
#include <stddef.h>

// The function list of PKCS #11 2.40, section 3.4 and appendix C: a version, and then
// pointers in a fixed order.
struct functions {
	unsigned char version[2];
	void (*at[68])(void);
};

enum { INIT_TOKEN = 9, INIT_PIN = 10, LOGIN = 18, GET_ATTRIBUTE_VALUE = 24, DECRYPT = 34 };

struct attribute {
	unsigned long type;
	void *value;
	unsigned long length;
};

// of_module returns the functions of a module that is loaded.
static struct functions *of_module(const char *path)
{
	struct functions *found = NULL;
	void *module = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
	if (module == NULL)
		return NULL;
	unsigned long (*list)(struct functions **) = (unsigned long (*)(struct functions **))dlsym(module, "C_GetFunctionList");
	if (list != NULL && list(&found) != 0)
		found = NULL;
	dlclose(module); // whoever has loaded it holds it
	return found;
}

static unsigned long init_token(struct functions *f, unsigned long slot, void *pin, unsigned long length, void *label)
{
	return ((unsigned long (*)(unsigned long, void *, unsigned long, void *))f->at[INIT_TOKEN])(slot, pin, length, label);
}

static unsigned long init_pin(struct functions *f, unsigned long session, void *pin, unsigned long length)
{
	return ((unsigned long (*)(unsigned long, void *, unsigned long))f->at[INIT_PIN])(session, pin, length);
}

static unsigned long login(struct functions *f, unsigned long session, unsigned long user, void *pin, unsigned long length)
{
	return ((unsigned long (*)(unsigned long, unsigned long, void *, unsigned long))f->at[LOGIN])(session, user, pin, length);
}

static unsigned long decrypt(struct functions *f, unsigned long session, void *in, unsigned long n, void *out, unsigned long *room)
{
	return ((unsigned long (*)(unsigned long, void *, unsigned long, void *, unsigned long *))f->at[DECRYPT])(session, in, n, out, room);
}

static unsigned long attribute_value(struct functions *f, unsigned long session, unsigned long object, unsigned long type, void *out, unsigned long *room)
{
	struct attribute wanted = { type, out, *room };
	unsigned long failed = ((unsigned long (*)(unsigned long, unsigned long, struct attribute *, unsigned long))f->at[GET_ATTRIBUTE_VALUE])(session, object, &wanted, 1);
	*room = wanted.length;
	return failed;
}
*/
import "C"

import (
	"fmt"
	"unsafe"

	"github.com/miekg/pkcs11"

	"github.com/sealpart/sealpart/internal/secret"
)

// module is a PKCS#11 module that is loaded. What has to do with secrets it does itself: the
// package pkcs11 copies each through the C heap, and frees that as it is. Here a PIN is read
// where it lies, and what a token gives goes straight to locked memory. What a module keeps, is
// its own affair.
type module struct {
	*pkcs11.Ctx
	functions *C.struct_functions
}

// newModule loads a module, nil where that is none.
func newModule(path string) *module {
	loaded := pkcs11.New(path)
	if loaded == nil {
		return nil
	}
	name := append([]byte(path), 0)
	functions := C.of_module((*C.char)(unsafe.Pointer(&name[0])))
	if functions == nil {
		loaded.Destroy()
		return nil
	}
	return &module{loaded, functions}
}

// Login gives a PIN, or has the token ask for it where that is empty.
func (m *module) Login(session pkcs11.SessionHandle, user uint, pin []byte) error {
	return failure(C.login(m.functions, C.ulong(session), C.ulong(user), pointer(pin), C.ulong(len(pin))))
}

// InitToken initialises a token, whose security officer gets the PIN.
func (m *module) InitToken(slot uint, pin []byte, label string) error {
	const size = 32 // of a label, filled up with blanks
	padded := []byte(fmt.Sprintf("%-*s", size, label))[:size]
	return failure(C.init_token(m.functions, C.ulong(slot), pointer(pin), C.ulong(len(pin)), pointer(padded)))
}

// InitPIN sets the user's PIN.
func (m *module) InitPIN(session pkcs11.SessionHandle, pin []byte) error {
	return failure(C.init_pin(m.functions, C.ulong(session), pointer(pin), C.ulong(len(pin))))
}

// Decrypt finishes what DecryptInit began.
func (m *module) Decrypt(session pkcs11.SessionHandle, wrapped []byte) (*secret.Buffer, error) {
	return received(func(out unsafe.Pointer, room *C.ulong) C.ulong {
		return C.decrypt(m.functions, C.ulong(session), pointer(wrapped), C.ulong(len(wrapped)), out, room)
	})
}

// value returns the value of a secret key that may be shown (CKA_VALUE).
func (m *module) value(session pkcs11.SessionHandle, object pkcs11.ObjectHandle) (*secret.Buffer, error) {
	return received(func(out unsafe.Pointer, room *C.ulong) C.ulong {
		return C.attribute_value(m.functions, C.ulong(session), C.ulong(object), pkcs11.CKA_VALUE, out, room)
	})
}

// received lets a function put a secret into locked memory.
func received(from func(out unsafe.Pointer, room *C.ulong) C.ulong) (*secret.Buffer, error) {
	plain, err := secret.New(maxRSA / 8)
	if err != nil {
		return nil, err
	}
	room := C.ulong(maxRSA / 8)
	if err := failure(from(pointer(plain.Bytes()), &room)); err != nil {
		plain.Wipe()
		return nil, err
	}
	if room > maxRSA/8 {
		plain.Wipe()
		return nil, fmt.Errorf("the module says that it gave %d bytes, and there was room for %d", uint64(room), maxRSA/8)
	}
	return plain.Cut(int(room)), nil
}

// pointer returns where bytes are, nil for none.
func pointer(p []byte) unsafe.Pointer {
	if len(p) == 0 {
		return nil
	}
	return unsafe.Pointer(&p[0])
}

// failure translates what a function of a module returns.
func failure(code C.ulong) error {
	if code == pkcs11.CKR_OK {
		return nil
	}
	return pkcs11.Error(code)
}
