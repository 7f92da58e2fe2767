package tpm2

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealpart/sealpart/internal/testenv"
)

// scripted answers with the given responses, the last one for ever.
type scripted struct {
	responses [][]byte
	commands  [][]byte
}

func (s *scripted) exchange(_ context.Context, command []byte) ([]byte, error) {
	s.commands = append(s.commands, bytes.Clone(command))
	if len(s.responses) == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	response := s.responses[0]
	if len(s.responses) > 1 {
		s.responses = s.responses[1:]
	}
	return response, nil
}

func (s *scripted) Close() error { return nil }

func fromHex(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestSendAsksABusyTPMAgain(t *testing.T) {
	success := fromHex(t, "8001 0000000a 00000000")
	for _, code := range []string{"00000922", "00000908", "0000090a"} { // retry, yielded, testing
		again := fromHex(t, "8001 0000000a "+code)
		synctest.Test(t, func(t *testing.T) {
			tpm := &scripted{responses: [][]byte{again, again, again, success}}
			command := fromHex(t, "8001 0000000c 00000144 0000")
			response, err := (&link{ctx: context.Background(), channel: tpm}).Send(command)
			if err != nil || !bytes.Equal(response, success) || len(tpm.commands) != 4 {
				t.Errorf("%s: %x, %v after %d commands", code, response, err, len(tpm.commands))
			}
			if !slices.EqualFunc(tpm.commands, [][]byte{command, command, command, command}, bytes.Equal) {
				t.Errorf("not the same command again: %x", tpm.commands)
			}
		})
	}
}

func TestSendGivesUpOnABusyTPM(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		tpm := &TPM{link: &link{ctx: context.Background(), channel: &scripted{responses: [][]byte{fromHex(t, "8001 0000000a 00000922")}}}}
		if err := tpm.startup(); !errors.Is(err, tpm2.TPMRCRetry) || !errors.Is(err, ErrBusy) {
			t.Error(err)
		}
		if took := time.Since(began); took < retryTotal || took > 2*retryTotal {
			t.Errorf("gave up after %s", took)
		}
	})
}

func TestSendRefusesBrokenResponses(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "shorter than a header",
		"8001 0000000a 000000":      "shorter than a header",
		"8001 0000000b 00000000":    "says 11 bytes, and has 10",
		"8001 0000000a 00000000 00": "says 10 bytes, and has 11",
		"00c4 0000000a 0000001e":    "TPM 1.2",
	} {
		_, err := (&link{ctx: context.Background(), channel: &scripted{responses: [][]byte{fromHex(t, text)}}}).Send(make([]byte, headerSize))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// go-tpm forgets the handle of an object when the rest of the response is broken.
func TestLedgerSeesWhatGoTPMForgets(t *testing.T) {
	tpm := &TPM{link: &link{ctx: context.Background(), channel: &scripted{responses: [][]byte{
		fromHex(t, "8002 0000000e 00000000 80ffffff"), // CreatePrimary: a handle, then nothing
		fromHex(t, "8001 0000000a 00000000"),
	}}}}
	if _, err := tpm.makeStorageKey(storageTemplate(algECC)); err == nil || !strings.Contains(err.Error(), "reading length of parameter area: EOF") {
		t.Fatalf("a response without parameters was taken: %v", err)
	}
	if !slices.Equal(tpm.link.ledger, []tpm2.TPMHandle{0x80ffffff}) {
		t.Fatalf("ledger: %x", tpm.link.ledger)
	}
	if tpm.release(); len(tpm.link.ledger) != 0 {
		t.Errorf("ledger after release: %x", tpm.link.ledger)
	}
}

// What cannot be given back is reported by Close.
func TestCloseReportsLeaks(t *testing.T) {
	l := &link{ctx: context.Background(), channel: &scripted{}, ledger: []tpm2.TPMHandle{0x80000001}}
	if err := (&TPM{link: l}).Close(); err == nil || !strings.Contains(err.Error(), "0x80000001") {
		t.Error(err)
	}
}

func TestReadResponse(t *testing.T) {
	whole := fromHex(t, "8001 0000000e 00000000 01020304")
	got, err := readResponse(iotest.OneByteReader(bytes.NewReader(whole)))
	if err != nil || !bytes.Equal(got, whole) {
		t.Errorf("in pieces: %x, %v", got, err)
	}
	for text, want := range map[string]string{
		"": "EOF", "8001": "unexpected EOF", "8001 0000000e 00000000 010203": "unexpected EOF", "8001 00000009 00000000": "response of 9 bytes announced",
		"8001 ffffffff 00000000": "response of 4294967295 bytes announced", "8001 00001001 00000000": "response of 4097 bytes announced",
	} {
		if _, err := readResponse(bytes.NewReader(fromHex(t, text))); err == nil || err.Error() != want {
			t.Errorf("%q: %v, not %q", text, err, want)
		}
	}
}

func TestUNIXSocket(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "tpm.sock")
	cmd := exec.Command(testenv.Need(t, "swtpm"), "socket", "--tpm2", "--tpmstate", "dir="+dir,
		"--server", "type=unixio,path="+socket, "--ctrl", "type=unixio,path="+socket+".ctrl", "--flags", "not-need-init")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	var tpm *TPM
	err := ErrNoTPM
	for range 500 {
		if tpm, err = Open(t.Context(), "swtpm:path="+socket); !errors.Is(err, ErrNoTPM) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err) // also where Open did not start it up: nobody else did
	}
	if _, err := tpm.PCRs("sha256", []int{0}); err != nil {
		t.Error(err)
	}
}

// A TPM, or somebody on its bus, may answer with anything.
func FuzzHostileTPM(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0, 0x0b, 3, 0x80, 0, 0}, []byte{0, 0, 0, 1, 0, 0}, uint8(0))
	f.Fuzz(func(t *testing.T, first, second []byte, which uint8) {
		framed := func(body []byte) []byte {
			body = body[:min(len(body), maxResponse-headerSize)]
			head := fromHex(t, "8002 00000000 00000000")
			head[4], head[5] = byte((headerSize+len(body))>>8), byte(headerSize+len(body))
			return append(head, body...)
		}
		tpm := &TPM{link: &link{ctx: context.Background(), channel: &scripted{responses: [][]byte{framed(first), framed(second)}}}}
		tok := Token{Blobs: [][]byte{{0, 1, 1, 0, 10, 0, 8, 0, 11, 0, 0, 0, 0, 0, 0}}, PolicyHashes: [][]byte{{}}}
		switch which % 4 {
		case 0:
			_, _ = tpm.Banks()
		case 1:
			_, _ = tpm.PCRs("sha256", []int{0, 7})
		case 2:
			_, _ = tpm.Unseal(tok, nil)
		case 3:
			_, _ = tpm.Seal([]byte{1}, Binding{PCRs: []int{7}})
		}
	})
}
