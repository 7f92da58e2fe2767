package herald

import (
	"net"
	"time"
)

// splashSocket is where plymouthd listens, in the abstract namespace.
const splashSocket = "@/org/freedesktop/plymouthd"

// The requests of plymouth's boot protocol: a letter, then 2, the length of the text with
// its NUL, and the text. It answers with one byte.
const (
	showMessage = 'M'
	hideMessage = 'm'
	argument    = 2
	maxText     = 254
)

// splashPatience bounds how long a splash screen that hangs can keep us.
const splashPatience = 200 * time.Millisecond

// splash is the message on the splash screen, "" for none.
type splash struct{ shown string }

// show replaces the message. The new one comes first, so that it does not flicker.
func (s *splash) show(text string) {
	text = text[:min(len(text), maxText)]
	if text == s.shown || !request(showMessage, text) {
		return
	}
	s.clear()
	s.shown = text
}

// clear takes the message away.
func (s *splash) clear() {
	if s.shown != "" {
		request(hideMessage, s.shown)
	}
	s.shown = ""
}

// request reports whether plymouthd was there and took a request.
func request(letter byte, text string) bool {
	conn, err := net.DialTimeout("unix", splashSocket, splashPatience)
	if err != nil {
		return false
	}
	defer conn.Close()
	message := append([]byte{letter, argument, byte(len(text) + 1)}, text...)
	if conn.SetDeadline(time.Now().Add(splashPatience)) != nil {
		return false
	}
	if _, err := conn.Write(append(message, 0)); err != nil {
		return false
	}
	_, err = conn.Read(message[:1])
	return err == nil
}
