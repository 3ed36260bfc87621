package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/topic"
)

func clusterTakeover(p pool) *cobra.Command {
	cmd := &cobra.Command{
		Use: "takeover JOURNAL|NODE", Short: "Seal an agent's journal and give its partitions to the others",
		Long: "Seal an agent's journal and give its partitions to the others, as agents do by themselves with one whose heartbeat\n" +
			"stands still. It needs no Redis. An agent that runs loses nothing that it acked: it meets the seal and opens a new journal.",
		Args: names("JOURNAL|NODE"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return p.change(cmd, func(ctx context.Context, e *cluster.Engine) error {
			dead, err := openJournalNamed(e.State(), args[0])
			if err != nil {
				return err
			}
			owned := e.State().PartitionsOf(dead.ID)
			if err := e.Takeover(ctx, dead.ID); err != nil {
				return oneLine(err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), takenOver(e.State(), dead.ID, owned))
			return err
		})
	}
	return cmd
}

// openJournalNamed finds an open journal by its agent's node id, by its own id or by the beginning of that.
func openJournalNamed(s *control.State, name string) (*control.Journal, error) {
	if node, err := strconv.ParseInt(name, 10, 32); err == nil {
		if j, ok := s.OpenJournalOf(int32(node)); ok {
			return j, nil
		}
	}
	id, err := journalNamed(s, name)
	if err != nil {
		return nil, err
	}
	j, ok := s.Journal(id)
	switch {
	case !ok:
		return nil, fmt.Errorf("no journal %s; `odradek inspect journal` lists them", id)
	case j.Sealed:
		return nil, fmt.Errorf("journal %s of node %d was sealed before, at slot %d", id, j.NodeID, j.SealSlot)
	}
	return j, nil
}

// takenOver tells where a journal's partitions went.
func takenOver(s *control.State, id topic.JournalID, owned []control.Assignment) string {
	j, _ := s.Journal(id)
	text := fmt.Sprintf("journal %s of node %d is sealed at slot %d", id, j.NodeID, j.SealSlot)
	given := map[int32]int{}
	for _, a := range owned {
		if now, ok := s.Owner(a.Partition); ok && now.From == id {
			if to, ok := s.Journal(now.Journal); ok {
				given[to.NodeID]++
			}
		}
	}
	var to []string
	for _, node := range slices.SortedFunc(maps.Keys(given), cmp.Compare[int32]) {
		to = append(to, fmt.Sprintf("node %d got %s", node, count(int64(given[node]), "partition")))
	}
	if len(to) == 0 {
		return text + ", it owned nothing"
	}
	return text + ": " + strings.Join(to, ", ")
}
