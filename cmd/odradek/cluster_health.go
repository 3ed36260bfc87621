package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/odradek/odradek/agent/settings"
)

func clusterHealth(p pool) *cobra.Command {
	var asJSON bool
	lease := settings.Defaults().Lease
	cmd := &cobra.Command{
		Use: "health", Short: "Print what is wrong with a cluster, a line each",
		Long: "Print what is wrong with a cluster, a line each. The exit status is 1 if something is. With --redis the heartbeats are\n" +
			"watched, for a lease if one stands still.",
		Args: names(),
	}
	cmd.Flags().DurationVar(&lease, "lease", lease, "`DURATION` for which a heartbeat may stand still, as the agents were given")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if lease <= 0 {
			return usagef("--lease: %v is no lease", lease)
		}
		v, err := p.view(cmd.Context(), lease)
		if err != nil {
			return err
		}
		problems := v.problems()
		out := cmd.OutOrStdout()
		if asJSON {
			err = printJSON(out, struct {
				Problems []string `json:"problems"`
			}{append([]string{}, problems...)})
		} else {
			for _, problem := range problems {
				fmt.Fprintln(out, problem)
			}
			if len(problems) == 0 {
				_, err = fmt.Fprintf(out, "healthy: %s, %s\n", count(int64(v.Open), "agent"), count(int64(v.state.PartitionCount()), "partition"))
			}
			if v.Redis == nil {
				fmt.Fprintln(out, "note: without --redis neither heartbeats nor the index were looked at")
			}
		}
		if err == nil && len(problems) > 0 {
			err = errors.New(count(int64(len(problems)), "problem"))
		}
		return err
	}
	return cmd
}

// problems lists what a person should look at.
func (v *clusterView) problems() []string {
	var list []string
	if v.Open == 0 {
		list = append(list, fmt.Sprintf("no agent: no journal is open, %s have no owner that could run", count(int64(v.state.PartitionCount()), "partition")))
	}
	for _, a := range v.Agents {
		list = append(list, a.problems()...)
	}
	if v.Since.Slots > manySlots || v.Since.Control > manyNumbers {
		list = append(list, fmt.Sprintf("no checkpoint for long: %s; a start and an era take long (is there an agent with the role compactor?)", v.Since))
	}
	return append(list, v.redisProblems()...)
}

// What lies above the newest checkpoint is a problem if it is that many times what one is made for.
const (
	manySlots   = 10 * 4096
	manyNumbers = 10 * 500
)

func (a *agentView) problems() []string {
	var list []string
	who := fmt.Sprintf("node %d (journal %s)", a.NodeID, a.Journal)
	if a.SealedAt != nil {
		list = append(list, fmt.Sprintf("%s: sealed at slot %d, and no control record says so: %s without an owner",
			who, *a.SealedAt, count(int64(a.Partitions), "partition")))
	}
	switch {
	case a.Draining && a.Partitions > 0:
		list = append(list, fmt.Sprintf("%s: draining, %s left", who, count(int64(a.Partitions), "partition")))
	case a.Draining:
		list = append(list, fmt.Sprintf("%s: drained, it owns nothing", who))
	}
	switch h := a.Heartbeat; {
	case h == nil || h.Moving:
	case h.Registered:
		list = append(list, fmt.Sprintf("%s: heartbeat stood still for %.1fs", who, h.StillS))
	default:
		list = append(list, fmt.Sprintf("%s: no heartbeat, it is not registered in the newest era", who))
	}
	if a.Behind != nil && *a.Behind > 0 {
		list = append(list, fmt.Sprintf("%s: the index stands at slot %d, slots below %d count", who, *a.Indexed, a.Slots))
	}
	return list
}

func (v *clusterView) redisProblems() []string {
	r := v.Redis
	if r == nil {
		return nil
	}
	var list []string
	if r.Problem != "" || v.Era == nil || !r.status.Open() || !ours(r.status, v.Era) {
		return append(list, fmt.Sprintf("redis %s: %s", r.URL, v.redisLine()))
	}
	if r.ControlBehind > 0 {
		list = append(list, fmt.Sprintf("redis %s: the index has applied control numbers up to %d of %d, for %s",
			r.URL, r.Applied, v.Control.Number, time.Duration(r.WatchedS*float64(time.Second))))
	}
	for j := range v.state.Journals() {
		if next := r.status.Journals[j.ID].Next; j.Sealed && next < j.SealSlot {
			list = append(list, fmt.Sprintf("redis %s: the index stands at slot %d of journal %s, which is sealed at %d",
				r.URL, next, j.ID, j.SealSlot))
		}
	}
	return list
}
