package main

import (
	"github.com/spf13/cobra"

	"github.com/odradek/odradek/agent/ops"
	"github.com/odradek/odradek/agent/settings"
)

// docsCommand prints the pages of docs/ that are written from the code.
func docsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "docs", Short: "Print the pages of the documentation that are written from the code",
		Args: subcommand, RunE: help, Hidden: true,
	}
	cmd.AddCommand(&cobra.Command{
		Use: "settings", Short: "Print docs/settings.md", Args: names(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return settings.WriteMarkdown(cmd.OutOrStdout())
		},
	}, &cobra.Command{
		Use: "metrics", Short: "Print docs/metrics.md", Args: names(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var catalogue ops.Catalogue
			if err := registerMetrics(&catalogue); err != nil {
				return err
			}
			return catalogue.WriteMarkdown(cmd.OutOrStdout())
		},
	})
	return cmd
}
