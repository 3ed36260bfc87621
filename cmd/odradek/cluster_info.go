package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// watchInfo is for how long `cluster info` watches heartbeats at most: they move about once a second.
const watchInfo = 2500 * time.Millisecond

func clusterInfo(p pool) *cobra.Command {
	var asJSON, partitions bool
	cmd := &cobra.Command{
		Use: "info", Short: "Print the agents of a cluster and who owns what", Args: names(),
	}
	cmd.Flags().BoolVar(&partitions, "partitions", false, "print every partition's owner, epoch and base offset, and how the owner came by it")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		v, err := p.view(cmd.Context(), watchInfo)
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), v)
		}
		return printCluster(cmd.OutOrStdout(), v, partitions)
	}
	return cmd
}

func printCluster(out io.Writer, v *clusterView, partitions bool) error {
	err := table(out, "cluster\t"+v.ID, func(row func(...any)) {
		row("bucket", v.Bucket)
		row("control log", fmt.Sprintf("%s, the newest %s", count(int64(v.Control.Number)+1, "number"), ago(v.Control.At)))
		row("journals", fmt.Sprintf("%d open, %d sealed", v.Open, v.Sealed))
		row("checkpoint", v.Since)
		row("era", v.Era)
		if v.Redis != nil {
			row("redis", fmt.Sprintf("%s, %s", v.Redis.URL, v.redisLine()))
		}
	})
	owners := printOwners
	if partitions {
		owners = printPartitions
	}
	return errors.Join(err, printAgents(out, v), owners(out, v))
}

func (e *eraView) String() string {
	if e == nil {
		return "none was ever named"
	}
	return fmt.Sprintf("%d, named %s, run %s, replication %s", e.Number, ago(e.Named.At), e.RunID, e.ReplicationID)
}

func (s sinceView) String() string {
	since := fmt.Sprintf("%s and %s since", count(int64(s.Control), "control number"), count(int64(s.Slots), "slot"))
	if s.Checkpoint == 0 {
		return "none; " + since
	}
	return fmt.Sprintf("at control %d, made %s, %s", s.Checkpoint, ago(s.Made.At), since)
}

// redisLine tells how Redis stands to the newest era.
func (v *clusterView) redisLine() string {
	r := v.Redis
	switch {
	case r.Problem != "":
		return r.Problem
	case v.Era == nil:
		return "no era was ever named"
	case !ours(r.status, v.Era):
		return fmt.Sprintf("not the one that era %d names: run %s, replication %s", v.Era.Number, r.RunID, r.ReplicationID)
	case r.Building:
		return fmt.Sprintf("era %d is being built, progress %d", v.Era.Number, r.Progress)
	case !r.status.Open():
		return fmt.Sprintf("era %d is not there", v.Era.Number)
	}
	return fmt.Sprintf("era %d open, behind by %s and %s", v.Era.Number,
		count(int64(r.ControlBehind), "control number"), count(int64(r.SlotsBehind), "slot"))
}

func printAgents(out io.Writer, v *clusterView) error {
	return table(out, "\nNODE\tADDRESS\tZONE\tWEIGHT\tPARTITIONS\tSTATE\tHEARTBEAT\tSLOTS\tINDEXED\tLAST WRITE\tOPENED\tJOURNAL\tBUILD", func(row func(...any)) {
		for _, a := range v.Agents {
			indexed, written := "-", "-"
			if a.Indexed != nil {
				indexed = fmt.Sprint(*a.Indexed)
			}
			if a.LastWrite != nil {
				written = ago(*a.LastWrite)
			}
			row(a.NodeID, dash(a.Address), dash(a.Zone), a.Weight, a.Partitions, a.condition(), a.Heartbeat, a.Slots, indexed, written,
				ago(a.Opened.At), a.Journal, dash(a.Build))
		}
	})
}

// condition tells in one word what a journal is in.
func (a *agentView) condition() string {
	switch {
	case a.SealedAt != nil:
		return fmt.Sprintf("sealed at slot %d", *a.SealedAt)
	case a.Draining:
		return "draining"
	}
	return "open"
}

func (h *heartbeatView) String() string {
	switch {
	case h == nil:
		return "-"
	case !h.Registered:
		return "none"
	case h.Moving:
		return fmt.Sprintf("%.1fs ago", h.StillS)
	}
	return fmt.Sprintf("still for %.1fs", h.StillS)
}

// printOwners prints for each topic how many of its partitions each agent owns.
func printOwners(out io.Writer, v *clusterView) error {
	return table(out, "\nTOPIC\tPARTITIONS\tOWNERS (NODE: PARTITIONS)", func(row func(...any)) {
		for _, t := range v.Topics {
			owned := map[int32]int{}
			for _, p := range t.Partitions {
				owned[p.NodeID]++
			}
			var list []string
			for _, a := range v.Agents {
				if n := owned[a.NodeID]; n > 0 {
					list = append(list, fmt.Sprintf("%d: %d", a.NodeID, n))
				}
			}
			row(t.Name, len(t.Partitions), strings.Join(list, ", "))
		}
	})
}

func printPartitions(out io.Writer, v *clusterView) error {
	return table(out, "\nTOPIC\tPARTITION\tNODE\tEPOCH\tBASE\tJOURNAL\tWHY", func(row func(...any)) {
		for _, t := range v.Topics {
			for _, p := range t.Partitions {
				row(t.Name, p.Index, p.NodeID, p.Epoch, p.Base, p.Journal, p.why())
			}
		}
	})
}

// ago words how long ago something was, by this machine's clock.
func ago(at time.Time) string {
	if at.IsZero() { // the record that says so was deleted (G4)
		return "long ago"
	}
	d := max(0, time.Since(at))
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds ago", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm ago", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}
