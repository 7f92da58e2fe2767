package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestReadmeIsComplete fails where a command or a flag is not in the README, or a flag
// there does not exist.
func TestReadmeIsComplete(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(text)
	usage := regexp.MustCompile(`(?m)^ +(?:-\w, )?(--[a-z0-9-]+)`)
	flags := map[string]bool{} // whether the name is missing
	for _, cmd := range leaves(rootCommand()) {
		if !strings.Contains(readme, "`"+cmd.CommandPath()) {
			t.Errorf("the README does not name the command %q", cmd.CommandPath())
		}
		for _, line := range usage.FindAllStringSubmatch(cmd.LocalFlags().FlagUsages(), -1) {
			flags[line[1]] = true
		}
	}
	said := regexp.MustCompile("`(--[a-z0-9-]+)").FindAllStringSubmatch(readme, -1)
	for _, match := range said {
		if _, ok := flags[match[1]]; !ok && match[1] != "--help" {
			t.Errorf("the README names %s, which no command has", match[1])
		}
		flags[match[1]] = false
	}
	for name, missing := range flags {
		if missing {
			t.Errorf("the README does not name %s", name)
		}
	}
}

// leaves returns the commands below cmd that do something, without cobra's own.
func leaves(cmd *cobra.Command) (all []*cobra.Command) {
	for _, sub := range cmd.Commands() {
		switch {
		case sub.Name() == "help" || sub.Name() == "completion":
		case sub.HasSubCommands():
			all = append(all, leaves(sub)...)
		default:
			all = append(all, sub)
		}
	}
	return all
}
