package main

import (
	"fmt"
	"runtime"

	"github.com/sealpart/sealpart/internal/key/pkcs11"
	"github.com/sealpart/sealpart/internal/xts"
	"github.com/sealpart/sealpart/verity"
	"github.com/spf13/cobra"
)

// version is set at link time.
var version = "devel"

// versionCommand says what this binary is and which fast paths it takes here.
func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Say what this binary is and which encryption and hashing code it uses on this machine",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "sealpart %s (%s, %s/%s)\naes-xts: %s\nsha256: %s\npkcs11: %s\n",
				version, runtime.Version(), runtime.GOOS, runtime.GOARCH, xts.Implementation(), verity.Implementation(), pkcs11Support())
			return err
		},
	}
}

// pkcs11Support says whether keys of type pkcs11 can be used.
func pkcs11Support() string {
	if pkcs11.Built {
		return "yes"
	}
	return "no, built without cgo"
}
