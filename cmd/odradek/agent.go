package main

import (
	"log/slog"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/odradek/odradek/agent"
	"github.com/odradek/odradek/agent/ops"
	"github.com/odradek/odradek/agent/settings"
)

// runAgent runs an agent until ctx ends and prints its banner once it serves. It logs to slog.Default.
var runAgent = agent.Run

// registerMetrics registers every metric of an agent, without running one.
var registerMetrics = agent.RegisterMetrics

func agentCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run an agent: a broker that serves Kafka clients and stores in a bucket",
		Long: "Run an agent. Without settings it serves Kafka on 127.0.0.1:9092 and HTTP on 127.0.0.1:8080 and stores\n" +
			"under ./odradek-data. Every flag is also an environment variable (--flush-size: ODRADEK_FLUSH_SIZE) and a\n" +
			"key of the YAML file (flush-size); a flag wins over the environment, the environment over the file.",
		Args: cobra.ArbitraryArgs,
		FParseErrWhitelist: cobra.FParseErrWhitelist{
			UnknownFlagsHandling: pflag.PassUnknownFlagToArgs, // so that they are reported with all other problems
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			unknown, err := unknownFlags(args)
			if err != nil {
				return err
			}
			s, err := settings.Load(settings.Sources{
				Flags: cmd.Flags(), Unknown: unknown, Environ: w.environ,
			})
			if err != nil {
				return err
			}
			slog.SetDefault(ops.NewLog(cmd.ErrOrStderr(), s.Log, &agent.Last))
			slog.InfoContext(cmd.Context(), "agent starts", "version", version, "settings", s)
			agent.Build = version
			return runAgent(cmd.Context(), s, cmd.OutOrStdout())
		},
	}
	cmd.Flags().SortFlags = false
	settings.AddFlags(cmd.Flags())
	return cmd
}

// unknownFlags sorts out what was left on the command line. A word after an unknown flag is taken for its value
// and not repeated: it may be a secret.
func unknownFlags(args []string) ([]string, error) {
	var unknown []string
	value := false
	for _, arg := range args {
		if strings.HasPrefix(arg, "-") {
			unknown = append(unknown, arg)
			value = !strings.Contains(arg, "=")
			continue
		}
		if !value {
			return nil, usagef("agent: unexpected argument %q; settings are flags", arg)
		}
		value = false
	}
	return unknown, nil
}
