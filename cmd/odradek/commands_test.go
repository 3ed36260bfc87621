package main

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/odradek/odradek/agent/settings"
)

// docs/commands.md is kept by hand and held to the code here.
func TestCommandsPage_NamesEveryCommandAndFlag(t *testing.T) {
	b, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if cells := strings.Split(line, "|"); len(cells) == 5 && strings.HasPrefix(cells[1], " `odradek ") {
			rows[strings.Trim(cells[1], " `")] = cells[2]
		}
	}
	root := newRoot(world{})
	agentFlags := pflag.NewFlagSet("agent", pflag.ContinueOnError)
	settings.AddFlags(agentFlags)
	for row := range rows {
		found, _, err := root.Find(strings.Fields(row)[1:])
		if err != nil || !strings.HasPrefix(row, found.CommandPath()) || found.HasSubCommands() {
			t.Errorf("%s is no command", row)
		}
	}
	var each func(*cobra.Command)
	each = func(c *cobra.Command) {
		for _, below := range c.Commands() {
			if !below.Hidden {
				each(below)
			}
		}
		if c.HasSubCommands() || c.Name() == "help" || c.Name() == "completion" {
			return
		}
		flags, ok := "", false
		for row, cell := range rows {
			if row == c.CommandPath() || strings.HasPrefix(row, c.CommandPath()+" ") {
				flags, ok = cell, true
			}
		}
		if !ok {
			t.Errorf("no row for %s", c.CommandPath())
		}
		check := func(f *pflag.Flag) {
			if strings.Contains(flags, "[settings](settings.md)") && agentFlags.Lookup(f.Name) != nil {
				return
			}
			if f.Name != "help" && f.Name != "bootstrap" && f.Name != "bucket" && !strings.Contains(flags, "`--"+f.Name) {
				t.Errorf("%s: --%s is not in its row", c.CommandPath(), f.Name)
			}
		}
		if c.Name() != "agent" {
			c.Flags().VisitAll(check)
			c.InheritedFlags().VisitAll(check)
		}
	}
	each(root)
}
