package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/odradek/odradek/agent/verify"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// journalLine is one journal in a list.
type journalLine struct {
	ID         string `json:"id"`
	NodeID     int32  `json:"node_id"`
	State      string `json:"state"`
	Opened     uint64 `json:"opened"` // control number
	K          int    `json:"k"`
	Partitions int    `json:"partitions"`
	Objects    int    `json:"objects"` // listed
	Bytes      int64  `json:"bytes"`
	Build      string `json:"build"`
}

// slotLine is one slot of a journal.
type slotLine struct {
	Slot      uint64   `json:"slot"`
	Kind      string   `json:"kind"`
	Bytes     int64    `json:"bytes"`
	Extents   int      `json:"extents"`
	Records   int64    `json:"records"`
	Producers int      `json:"producers"` // batches of idempotent ones
	Summary   bool     `json:"summary"`
	Created   string   `json:"created,omitempty"`
	SealedBy  string   `json:"sealed_by,omitempty"`
	Problems  []string `json:"problems,omitempty"`
}

func inspectJournal(i inspection) *cobra.Command {
	var from, to uint64
	cmd := &cobra.Command{
		Use:   "journal [JOURNAL]",
		Short: "List the journals, or the slots of one",
		Long:  "List the journals, or the slots of one, named by its id or the beginning of it.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("%s: unexpected argument %q", path(cmd), args[1])
			}
			return nil
		},
	}
	cmd.Flags().Uint64Var(&from, "from", 0, "first slot")
	cmd.Flags().Uint64Var(&to, "to", math.MaxUint64, "slot to stop before")
	cmd.Flags().Lookup("to").DefValue = "the end"
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		store, _, err := i.open(cmd.Context())
		if err != nil {
			return err
		}
		s, err := state(cmd.Context(), store)
		var broken *verify.ControlError
		if errors.As(err, &broken) { // what it says up to there is enough to look on
			fmt.Fprintln(cmd.ErrOrStderr(), "odradek: "+err.Error())
		} else if err != nil {
			return err
		}
		if len(args) == 0 {
			return listJournals(cmd, store, s, *i.json)
		}
		id, err := journalNamed(s, args[0])
		if err != nil {
			return err
		}
		return listSlots(cmd, store, id, topic.Slot(from), topic.Slot(to), *i.json)
	}
	return cmd
}

func listJournals(cmd *cobra.Command, store objectstore.Store, s *control.State, asJSON bool) error {
	lines := []journalLine{}
	for j := range s.Journals() {
		l := journalLine{
			ID: j.ID.String(), NodeID: j.NodeID, State: verify.StateOpen, Opened: uint64(j.Opened), K: j.K,
			Partitions: j.Partitions(), Build: j.Build,
		}
		if j.Sealed {
			l.State = fmt.Sprintf("sealed at slot %d", j.SealSlot)
		}
		err := store.List(cmd.Context(), slotlog.JournalPrefix(j.ID), func(o objectstore.Info) error {
			l.Objects++
			l.Bytes += o.Size
			return nil
		})
		if err != nil {
			return fmt.Errorf("list journal %s: %w", j.ID, err)
		}
		lines = append(lines, l)
	}
	slices.SortStableFunc(lines, func(a, b journalLine) int { return int(a.Opened) - int(b.Opened) })
	if asJSON {
		return printJSON(cmd.OutOrStdout(), lines)
	}
	return table(cmd.OutOrStdout(), "JOURNAL\tNODE\tSTATE\tOPENED\tK\tPARTITIONS\tOBJECTS\tBYTES\tBUILD", func(row func(...any)) {
		for _, l := range lines {
			row(l.ID, l.NodeID, l.State, l.Opened, l.K, l.Partitions, l.Objects, size(l.Bytes), dash(l.Build))
		}
	})
}

func listSlots(cmd *cobra.Command, store objectstore.Store, id topic.JournalID, from, to topic.Slot, asJSON bool) error {
	lines, err := slotLines(cmd.Context(), store, id, from, to)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), lines)
	}
	return table(cmd.OutOrStdout(), "SLOT\tKIND\tBYTES\tEXTENTS\tRECORDS\tPRODUCERS\tCREATED\tNOTES", func(row func(...any)) {
		for _, l := range lines {
			row(l.Slot, l.Kind, size(l.Bytes), l.Extents, l.Records, l.Producers, dash(l.Created), dash(l.notes()))
		}
	})
}

func slotLines(ctx context.Context, store objectstore.Store, id topic.JournalID, from, to topic.Slot) ([]slotLine, error) {
	lines := []slotLine{}
	err := verify.EachTail(ctx, store, id, from, to, reads, func(t verify.Tail) (bool, error) {
		l := slotLine{Slot: uint64(t.Slot), Kind: t.Kind.String(), Bytes: t.Size, SealedBy: t.SealedBy, Problems: t.Problems}
		if f := t.Footer; f != nil {
			l.Extents, l.Producers, l.Summary = len(f.Extents), len(f.Producers), f.Summary != nil
			l.Created = moment(f.CreatedMs)
			for _, x := range f.Extents {
				l.Records += int64(x.Next - x.Base)
			}
		}
		lines = append(lines, l)
		return true, nil
	})
	return lines, err
}

func (l slotLine) notes() string {
	notes := l.Problems
	if l.Summary {
		notes = append(notes, "summary")
	}
	if l.SealedBy != "" {
		notes = append(notes, l.SealedBy)
	}
	return strings.Join(notes, "; ")
}

// moment words a time in milliseconds.
func moment(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }
