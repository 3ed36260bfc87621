package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/control"
)

func clusterDrain(p pool) *cobra.Command {
	var off bool
	cmd := &cobra.Command{
		Use: "drain NODE", Short: "Have an agent give its partitions to the others",
		Long: "Have an agent give its partitions to the others, a few at a time, and get no new ones. It goes on running and serving.\n" +
			"The command does not wait. What drains is the agent's journal: an agent that starts again does not drain.",
		Args: names("NODE"),
	}
	cmd.Flags().BoolVar(&off, "off", false, "end it: the agent gets partitions again")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return p.change(cmd, func(ctx context.Context, e *cluster.Engine) error {
			changed, err := drain(ctx, e, args[0], !off)
			if err != nil {
				return err
			}
			j, err := agentNamed(e.State(), args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), drained(e.State(), j, changed))
			return err
		})
	}
	return cmd
}

// drain appends DRAIN, unless the journal is as wanted already.
func drain(ctx context.Context, e *cluster.Engine, node string, on bool) (changed bool, err error) {
	outcomes, err := e.Propose(ctx, func(s *control.State) ([]control.Record, error) {
		j, err := agentNamed(s, node)
		if err != nil || j.Draining == on {
			return nil, err
		}
		return []control.Record{control.Drain{Journal: j.ID, On: on}}, nil
	})
	return len(outcomes) > 0, err
}

func drained(s *control.State, j *control.Journal, changed bool) string {
	how := fmt.Sprintf("node %d", j.NodeID)
	switch {
	case j.Draining && changed:
		how += " drains now"
	case j.Draining:
		how += " was draining before"
	case changed:
		return how + " drains no more"
	default:
		return how + " was not draining"
	}
	others := 0
	for _, o := range s.OpenJournals() {
		if !o.Draining {
			others++
		}
	}
	how += fmt.Sprintf(": %s left to move", count(int64(j.Partitions()), "partition"))
	if others == 0 && j.Partitions() > 0 {
		how += ", and no other agent to take them"
	}
	return how
}
