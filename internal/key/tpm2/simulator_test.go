package tpm2

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/internal/testenv"
)

// startSimulator puts the simulator's protocol before swtpm: that of commands at a port, and
// at the next what switches a simulator on, which it only acknowledges. TestSimulator has
// tpm2-tss speak to it first.
func startSimulator(t *testing.T, behind channel) (device string) {
	t.Helper()
	var commands, platform net.Listener
	for platform == nil {
		var err error
		if commands, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		platform, _ = net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(commands.Addr().(*net.TCPAddr).Port+1))
		if platform == nil {
			commands.Close()
		}
	}
	t.Cleanup(func() { commands.Close(); platform.Close() })
	serve := func(l net.Listener) {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serveSimulator(conn, behind)
		}
	}
	go serve(commands)
	go serve(platform)
	return "mssim:host=127.0.0.1,port=" + strconv.Itoa(commands.Addr().(*net.TCPAddr).Port)
}

func serveSimulator(conn net.Conn, behind channel) {
	defer conn.Close()
	word := make([]byte, 4)
	acknowledged := make([]byte, 4)
	for {
		if _, err := io.ReadFull(conn, word); err != nil {
			return
		}
		switch binary.BigEndian.Uint32(word) {
		case simSessionEnd:
			return
		case simSendCommand:
			head := make([]byte, 5) // locality, size
			if _, err := io.ReadFull(conn, head); err != nil {
				return
			}
			command := make([]byte, binary.BigEndian.Uint32(head[1:]))
			if _, err := io.ReadFull(conn, command); err != nil {
				return
			}
			response, err := behind.exchange(context.Background(), command)
			if err != nil {
				return
			}
			conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(response))), response...))
		}
		conn.Write(acknowledged)
	}
}

func TestSimulator(t *testing.T) {
	addresses, err := parseDevice(testenv.StartSWTPM(t))
	if err != nil {
		t.Fatal(err)
	}
	device := startSimulator(t, socketChannel(addresses[0]))
	extend(t, device, "16") // by tpm2-tss
	tpm, secret := open(t, device), newSecret(t)
	tok, err := tpm.Seal(secret, Binding{PCRs: []int{16}, AllowBlank: true})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tpm.Unseal(tok, nil); err != nil || !bytes.Equal(got, secret) {
		t.Error(err)
	}
	extend(t, device, "16")
	if _, err := tpm.Unseal(tok, nil); !errors.Is(err, ErrPolicy) {
		t.Error(err)
	}
}

func TestSimulatorRefuses(t *testing.T) {
	for text, want := range map[string]string{"\x00\x00": "EOF", "\xff\xff\xff\xff": "4294967295 bytes", "\x00\x00\x00\x0a": "EOF", "\x00\x00\x00\x00": "switched on"} {
		if _, err := simulatorChannel("").response(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%x: %v", text, err)
		}
	}
}
