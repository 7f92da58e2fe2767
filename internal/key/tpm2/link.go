package tpm2

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealpart/sealpart/internal/abandon"
	"github.com/sealpart/sealpart/internal/secret"
)

const (
	// headerSize is that of a command and of a response: tag (2 bytes), size (4),
	// command or response code (4). TPM 2.0 Library Part 1, 18.
	headerSize = 10
	// maxResponse is what the kernel driver and swtpm keep to.
	maxResponse = 4096
	// tagTPM12 is the tag of a TPM 1.2's responses, which has no command of ours.
	tagTPM12 = 0x00c4

	dialTimeout = 5 * time.Second
	// answerTimeout bounds one command on a socket; devices have their timeout
	// in the kernel. An RSA key can take a slow TPM more than a minute.
	answerTimeout = 3 * time.Minute

	// The TPM asks to be asked again while it is busy or tests itself. retryFirst
	// doubles up to retryMost; after retryTotal the answer stands.
	retryFirst = 2 * time.Millisecond
	retryMost  = 500 * time.Millisecond
	retryTotal = 20 * time.Second

	// answerGrace is how long a command that is under way is still waited for once the work
	// is to stop, and each of those that then give back what the TPM holds for us.
	answerGrace = time.Second
)

// channel carries one command to a TPM and brings its response, until ctx ends.
type channel interface {
	exchange(ctx context.Context, command []byte) (response []byte, err error)
	Close() error
}

// link sends commands, asks again where the TPM wants that, and keeps the ledger
// of what the TPM holds for us. It fits go-tpm's transport.TPM, which knows no context: the
// end of the link's own ends all commands.
type link struct {
	channel
	ctx context.Context
	// deaf is set once a command had no answer when the work was to stop. Then none follows.
	deaf   bool
	ledger []tpm2.TPMHandle
	// counts is set once an authorization was proven that the TPM guards against guessing.
	counts bool
}

// Send carries out one command; a response that carries an error code is returned
// like any other.
func (l *link) Send(command []byte) ([]byte, error) {
	ctx, cancel := l.until(command)
	defer cancel()
	wait, waited := retryFirst, time.Duration(0)
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		response, err := l.exchange(ctx, command)
		if err != nil && ctx.Err() != nil {
			l.deaf = true
			err = context.Cause(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("talk to the TPM: %w", err)
		}
		if err := checkHeader(response); err != nil {
			return nil, err
		}
		if !busy(responseCode(response)) || waited >= retryTotal {
			l.record(command, response)
			return response, nil
		}
		// Busy means not begun: the same bytes, nonces included, go out again.
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		waited += wait
		wait = min(2*wait, retryMost)
	}
}

// until returns the context of a command. Those that tidy up are sent also once the work is
// to stop, for a moment.
func (l *link) until(command []byte) (context.Context, context.CancelFunc) {
	tidies := commandOf(command) == tpm2.TPMCCFlushContext || commandOf(command) == tpm2.TPMCCShutdown
	if l.ctx.Err() == nil || l.deaf || !tidies {
		return l.ctx, func() {}
	}
	return context.WithTimeoutCause(context.WithoutCancel(l.ctx), answerGrace, context.Cause(l.ctx))
}

// commandOf returns what a command is, 0 for what is none.
func commandOf(command []byte) tpm2.TPMCC {
	if len(command) < headerSize {
		return 0
	}
	return tpm2.TPMCC(binary.BigEndian.Uint32(command[6:]))
}

func busy(code tpm2.TPMRC) bool {
	return code == tpm2.TPMRCRetry || code == tpm2.TPMRCYielded || code == tpm2.TPMRCTesting
}

// record keeps the ledger. It looks at the bytes and not at go-tpm's results, as
// go-tpm forgets the handle when it cannot make sense of the rest of a response.
func (l *link) record(command, response []byte) {
	if responseCode(response) != tpm2.TPMRCSuccess {
		return
	}
	switch commandOf(command) {
	case tpm2.TPMCCCreatePrimary, tpm2.TPMCCLoad, tpm2.TPMCCLoadExternal, tpm2.TPMCCStartAuthSession:
		if h, ok := firstHandle(response); ok {
			l.ledger = append(l.ledger, h)
		}
	case tpm2.TPMCCFlushContext:
		if h, ok := firstHandle(command); ok {
			l.ledger = slices.DeleteFunc(l.ledger, func(held tpm2.TPMHandle) bool { return held == h })
		}
	}
}

// flush gives back what the ledger holds, the newest first. What could not be
// given back stays in the ledger.
func (l *link) flush() error {
	var failures []error
	for _, h := range slices.Backward(slices.Clone(l.ledger)) {
		if _, err := (tpm2.FlushContext{FlushHandle: h}).Execute(l); err != nil {
			failures = append(failures, fmt.Errorf("flush TPM handle %#x: %w", uint32(h), err))
		}
	}
	return errors.Join(failures...)
}

// settle makes a power cut harmless. From the use of a guarded authorization on the TPM
// takes a loss of power for a wrong try that somebody wants to hide, and after some of them
// it locks itself; TPM2_Shutdown says that all is told. It must come after the last such
// use. CLEAR and not STATE: the next start is a cold one, and nobody may bring back the PCRs
// of now by resuming. TPM 2.0 Library Part 1, 19.8.6, and Part 3, 9.4.
func (l *link) settle() error {
	if !l.counts {
		return nil
	}
	if _, err := (tpm2.Shutdown{ShutdownType: tpm2.TPMSUClear}).Execute(l); err != nil {
		return failed("tell the TPM that it may lose its power", err)
	}
	l.counts = false
	return nil
}

func checkHeader(response []byte) error {
	if len(response) < headerSize {
		return fmt.Errorf("TPM response of %d bytes is shorter than a header", len(response))
	}
	if binary.BigEndian.Uint16(response) == tagTPM12 {
		return fmt.Errorf("%w: this is a TPM 1.2", ErrUnsupported)
	}
	if size := binary.BigEndian.Uint32(response[2:]); int64(size) != int64(len(response)) {
		return fmt.Errorf("TPM response says %d bytes, and has %d", size, len(response))
	}
	return nil
}

func responseCode(response []byte) tpm2.TPMRC {
	return tpm2.TPMRC(binary.BigEndian.Uint32(response[6:]))
}

func firstHandle(message []byte) (tpm2.TPMHandle, bool) {
	if len(message) < headerSize+4 {
		return 0, false
	}
	return tpm2.TPMHandle(binary.BigEndian.Uint32(message[headerSize:])), true
}

// deviceChannel is a TPM behind the kernel's driver: a write carries out the
// command, one read brings the whole response. Neither can be ended from here.
type deviceChannel struct{ *os.File }

func (d deviceChannel) exchange(ctx context.Context, command []byte) ([]byte, error) {
	return abandon.Call(ctx, func() ([]byte, error) {
		if _, err := d.Write(command); err != nil {
			return nil, err
		}
		response := make([]byte, maxResponse)
		n, err := d.Read(response)
		return response[:n], err
	}, secret.Wipe)
}

// socketChannel is an emulator. It connects for each command, as tpm2-tss does:
// swtpm serves one connection at a time, and others want their turn.
type socketChannel address

func (s socketChannel) exchange(ctx context.Context, command []byte) ([]byte, error) {
	conn, err := dial(ctx, s.network, s.target)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.Write(command); err != nil {
		return nil, err
	}
	return readResponse(conn)
}

// patientConn is a connection whose waiting ends soon after its context.
type patientConn struct {
	net.Conn
	stop func() bool
}

// dial connects to a TPM. The connection serves one command.
func dial(ctx context.Context, network, target string) (net.Conn, error) {
	connecting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(answerGrace, cancel) })()
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(connecting, network, target)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return patientConn{conn, context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now().Add(answerGrace)) })}, nil
}

// Close ends the connection.
func (c patientConn) Close() error {
	c.stop()
	return c.Conn.Close()
}

// readResponse reads by the size in the header, as a stream may come in pieces.
func readResponse(r io.Reader) ([]byte, error) {
	response := make([]byte, headerSize, maxResponse)
	if _, err := io.ReadFull(r, response); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(response[2:])
	if size < headerSize || size > maxResponse {
		return nil, fmt.Errorf("response of %d bytes announced", size)
	}
	response = response[:size]
	_, err := io.ReadFull(r, response[headerSize:])
	return response, err
}

func (s socketChannel) Close() error { return nil }
