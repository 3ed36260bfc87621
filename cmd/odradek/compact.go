package main

import (
	"log/slog"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/odradek/odradek/agent"
	"github.com/odradek/odradek/agent/ops"
	"github.com/odradek/odradek/agent/settings"
)

// compactSettings are the agent's settings that mean something to a compactor.
var compactSettings = []string{
	"config", "bucket", "data-dir", "redis", "redis-password-file", "cluster", "memory", "http", "pprof", "lease", "checkpoint-slots",
	"checkpoint-interval", "compaction-size", "compaction-slots", "compaction-interval", "compaction-gather", "gc-grace", "log-level", "log-format",
	"metrics-emf", "set",
}

// runCompactor looks after what a cluster stores.
var runCompactor = agent.RunCompactor

func compactCommand(w world) *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use:   "compact",
		Short: "Look after what a cluster stores, as a process of its own: checkpoints, compaction, garbage",
		Long: "Look after what a cluster stores, as agents with the role compactor do, without serving Kafka: make and verify\n" +
			"checkpoints, put segments together into larger objects, clean topics by key, trim journals and delete garbage.\n" +
			"Several share the work. With --once it does what there is to do and ends; it deletes nothing then, since nobody has\n" +
			"watched for --gc-grace that nothing needs it. It takes the agent's settings that it has a use for, from flags, from\n" +
			"the environment and from the file. --redis must be the agents'; without one the bucket must be a directory that no\n" +
			"agent has. --memory is all for compaction, and what the process keeps to.",
		Args: names(),
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().BoolVar(&once, "once", false, "do what there is to do, then end")
	all := pflag.NewFlagSet("compact", pflag.ContinueOnError)
	settings.AddFlags(all)
	all.VisitAll(func(f *pflag.Flag) {
		if slices.Contains(compactSettings, f.Name) {
			cmd.Flags().AddFlag(f)
		}
	})
	cmd.Flags().Lookup("http").DefValue = settings.None
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := settings.Load(settings.Sources{Flags: cmd.Flags(), Environ: w.environ})
		if err != nil {
			return err
		}
		if !cmd.Flags().Changed("http") && w.getenv("ODRADEK_HTTP") == "" {
			s.Network.HTTP = settings.None // the default is an agent's on the same machine
		}
		slog.SetDefault(ops.NewLog(cmd.ErrOrStderr(), s.Log, &agent.Last))
		slog.InfoContext(cmd.Context(), "compactor starts", "version", version, "once", once, "settings", s)
		agent.Build = version
		return runCompactor(cmd.Context(), s, once, cmd.OutOrStdout())
	}
	return cmd
}
