package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/odradek/odradek/agent/verify"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/topic"
)

// reads is how many objects an inspection asks for at once.
const reads = verify.DefaultReads

// inspection is what all inspect commands share.
type inspection struct {
	open opened
	json *bool
}

func inspectCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use: "inspect", Short: "Look into control log, journals, segments, checkpoints and WAL, offline", Args: subcommand, RunE: help,
	}
	i := inspection{open: bucketFlag(cmd, w), json: cmd.PersistentFlags().Bool("json", false, "print JSON")}
	cmd.AddCommand(inspectControl(i), inspectJournal(i), inspectSegment(i), inspectCheckpoint(i), inspectWAL(i))
	return cmd
}

// state reads the control log to its end, or as far as it can be read.
func state(ctx context.Context, store objectstore.Store) (*control.State, error) {
	s, _, err := verify.Beginning(ctx, store, reads)
	if err != nil {
		return control.New(), err
	}
	err = verify.EachControl(ctx, store, s, reads, func(n verify.Number) error {
		s = n.After
		return nil
	})
	return s, err
}

// partitionName names a partition by its topic's name, or by the topic's id if the name is not known.
func partitionName(s *control.State, p topic.Partition) string {
	if t, ok := s.TopicByID(p.Topic); ok {
		return fmt.Sprintf("%s/%d", t.Name, p.Index)
	}
	return p.String()
}

// journalNamed finds the journal that an argument names, by its id or by the beginning of it.
func journalNamed(s *control.State, name string) (topic.JournalID, error) {
	if id, err := topic.ParseJournalID(name); err == nil {
		return id, nil
	}
	var found []string
	for j := range s.Journals() {
		if strings.HasPrefix(j.ID.String(), strings.ToLower(name)) {
			found = append(found, j.ID.String())
		}
	}
	switch len(found) {
	case 0:
		return topic.JournalID{}, fmt.Errorf("no journal %s; `odradek inspect journal` lists them", name)
	case 1:
		return topic.ParseJournalID(found[0])
	}
	slices.Sort(found)
	return topic.JournalID{}, fmt.Errorf("%s may be %s", name, strings.Join(found, " or "))
}
