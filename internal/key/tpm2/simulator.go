package tpm2

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// netMSSim is the network of the TPM reference implementation's simulator, and the name of
// tpm2-tss's driver for it.
const netMSSim = "mssim"

// What a simulator is told. TPM 2.0 Library Part 4, D ("Command port").
const (
	simSendCommand = 8
	simSessionEnd  = 20
)

// simulatorChannel is a simulator at a TCP address. It connects for each command, as
// socketChannel does. Switching it on, by its other port, is for who runs it.
type simulatorChannel string

// open learns whether somebody listens.
func (s simulatorChannel) open(ctx context.Context) (channel, error) {
	conn, err := dial(ctx, "tcp", string(s))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_, err = conn.Write(binary.BigEndian.AppendUint32(nil, simSessionEnd))
	return s, err
}

// exchange frames a command with what to do, the locality and its size; the response comes
// between its size and an acknowledgement.
func (s simulatorChannel) exchange(ctx context.Context, command []byte) ([]byte, error) {
	conn, err := dial(ctx, "tcp", string(s))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	head := append(binary.BigEndian.AppendUint32(nil, simSendCommand), 0)
	head = binary.BigEndian.AppendUint32(head, uint32(len(command)))
	if _, err := conn.Write(slices.Concat(head, command)); err != nil {
		return nil, err
	}
	response, err := s.response(conn)
	if err == nil {
		_, err = conn.Write(binary.BigEndian.AppendUint32(nil, simSessionEnd))
	}
	return response, err
}

func (simulatorChannel) response(conn io.Reader) ([]byte, error) {
	size := make([]byte, 4)
	if _, err := io.ReadFull(conn, size); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size)
	if n < headerSize || n > maxResponse {
		return nil, fmt.Errorf("the simulator announces a response of %d bytes; is it switched on?", n)
	}
	response := make([]byte, n)
	if _, err := io.ReadFull(conn, response); err != nil {
		return nil, err
	}
	_, err := io.ReadFull(conn, size)
	return response, err
}

// Close does nothing: each command has closed its connection.
func (simulatorChannel) Close() error { return nil }
