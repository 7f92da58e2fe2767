package main

import (
	"context"
	"errors"

	"github.com/sealpart/sealpart/internal/key/tpm2"
	"github.com/spf13/cobra"
)

// settleCommand does for what other programs did with the TPM what ours does by itself.
func settleCommand() *cobra.Command {
	var device string
	cmd := &cobra.Command{
		Use:   "settle [flags]",
		Short: "Tell the TPM that it may lose its power, after another program opened a volume by it",
		Args:  exactly(0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return settleTPM(cmd.Context(), device) },
	}
	cmd.Flags().StringVar(&device, "tpm2-device", "auto", tpm2Usage)
	return cmd
}

// settleTPM has nothing to do where there is no TPM 2.0: units run it on every machine.
func settleTPM(ctx context.Context, device string) error {
	err := tpm2.Settle(ctx, device)
	if errors.Is(err, tpm2.ErrNoTPM) {
		return nil
	}
	return err
}
