package testenv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// What TPM2_PCR_Event is made of. TPM 2.0 Library Part 2, 6.5.2 and 6.9; Part 3, 22.3.
const (
	tagSessions  = 0x8002     // TPM_ST_SESSIONS
	commandEvent = 0x0000013c // TPM_CC_PCR_Event
	passwordAuth = 0x40000009 // TPM_RS_PW
)

// firmwarePCRs are those into which firmware measures at each start, if only separators.
var firmwarePCRs = []int{0, 1, 2, 3, 4, 5, 6, 7}

// measured does what firmware does at each start: it measures something into PCRs 0 to 7, in
// every bank, the same each time. Without it an emulator is a TPM that nobody measures into,
// and a key that is bound to its PCRs is bound to nothing.
func measured(t testing.TB, device string) {
	t.Helper()
	port := device[strings.LastIndexByte(device, '=')+1:]
	for _, pcr := range firmwarePCRs {
		if err := sendCommand("127.0.0.1:"+port, eventCommand(pcr, fmt.Sprintf("firmware, PCR %d", pcr))); err != nil {
			t.Fatalf("measure into PCR %d of %s: %v", pcr, device, err)
		}
	}
}

// eventCommand is a TPM2_PCR_Event with an empty password.
func eventCommand(pcr int, event string) []byte {
	auth := slices.Concat(binary.BigEndian.AppendUint32(nil, passwordAuth), []byte{0, 0, 0, 0, 0})
	body := binary.BigEndian.AppendUint32(nil, uint32(pcr))
	body = binary.BigEndian.AppendUint32(body, uint32(len(auth)))
	body = append(body, auth...)
	body = binary.BigEndian.AppendUint16(body, uint16(len(event)))
	body = append(body, event...)
	command := binary.BigEndian.AppendUint16(nil, tagSessions)
	command = binary.BigEndian.AppendUint32(command, uint32(10+len(body)))
	command = binary.BigEndian.AppendUint32(command, commandEvent)
	return append(command, body...)
}

// sendCommand has the emulator at an address carry out a command.
func sendCommand(address string, command []byte) error {
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	if _, err := conn.Write(command); err != nil {
		return err
	}
	header := make([]byte, 10)
	if _, err := io.ReadFull(conn, header); err != nil {
		return err
	}
	if code := binary.BigEndian.Uint32(header[6:]); code != 0 {
		return fmt.Errorf("the TPM answers with %#x", code)
	}
	rest := int64(binary.BigEndian.Uint32(header[2:])) - int64(len(header))
	if rest < 0 {
		return errors.New("the TPM's answer is cut off")
	}
	_, err = io.CopyN(io.Discard, conn, rest)
	return err
}
