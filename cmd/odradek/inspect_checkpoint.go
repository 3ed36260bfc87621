package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/topic"
)

// checkpointView is a checkpoint as it is printed.
type checkpointView struct {
	Control    topic.Slot            `json:"control"`
	ID         string                `json:"id"`
	Previous   topic.Slot            `json:"previous"`
	Journals   []checkpointJournal   `json:"journals"`
	Partitions []checkpointPartition `json:"partitions"`
	Shards     int                   `json:"shards"`
	Parts      []checkpointObject    `json:"parts"`
	StateBytes int                   `json:"state_bytes"`
	head       *checkpoint.Head
}

type checkpointJournal struct {
	ID     string     `json:"id"`
	NodeID int32      `json:"node_id"`
	Next   topic.Slot `json:"next"`
}

type checkpointPartition struct {
	Partition string       `json:"partition"`
	Start     topic.Offset `json:"start"`
	End       topic.Offset `json:"end"`
	Compacted topic.Offset `json:"compacted"` // up to here it is in runs, or below the log start
	Extents   int          `json:"extents"`   // behind that
}

type checkpointObject struct {
	Key   string `json:"key"`
	Kind  string `json:"kind"`
	Shard int    `json:"shard"`
	Rows  int    `json:"rows"`
	Bytes int64  `json:"bytes"`
}

// checkpointLine is a checkpoint in the list of them.
type checkpointLine struct {
	Control topic.Slot `json:"control"`
	ID      string     `json:"id"`
	State   string     `json:"state"`
}

func (l checkpointLine) String() string {
	return fmt.Sprintf("%d %s %s", l.Control, l.ID, l.State)
}

func inspectCheckpoint(i inspection) *cobra.Command {
	cmd := &cobra.Command{
		Use: "checkpoint [CONTROL]", Short: "List the checkpoints, or print what one of them holds and read all of it", Args: cobra.MaximumNArgs(1),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		store, _, err := i.open(cmd.Context())
		if err != nil {
			return err
		}
		lines, names, err := listCheckpoints(cmd.Context(), store)
		if err != nil {
			return err
		}
		if len(args) == 0 {
			return printLines(cmd.OutOrStdout(), *i.json, lines)
		}
		n, err := strconv.ParseUint(args[0], 10, 64)
		if err != nil {
			return fmt.Errorf("%s is no control number", args[0])
		}
		found := false
		for _, name := range names {
			if uint64(name.Control) != n {
				continue
			}
			found = true
			v, err := viewCheckpoint(cmd.Context(), store, name)
			if err != nil {
				return err
			}
			if *i.json {
				err = printJSON(cmd.OutOrStdout(), v)
			} else {
				err = printCheckpoint(cmd.OutOrStdout(), v)
			}
			if err != nil {
				return err
			}
		}
		if !found {
			return fmt.Errorf("there is no checkpoint at control %d", n)
		}
		return nil
	}
	return cmd
}

// listCheckpoints lists the heads in the bucket, newest first, with what the control log says of them.
func listCheckpoints(ctx context.Context, store objectstore.Store) ([]checkpointLine, []checkpoint.Name, error) {
	s, err := state(ctx, store)
	if err != nil {
		return nil, nil, err
	}
	names, err := checkpoint.Heads(ctx, store)
	if err != nil {
		return nil, nil, err
	}
	kept := make(map[control.CheckpointID]string)
	for _, c := range s.Checkpoints() {
		kept[c.ID] = "not verified yet"
		if c.Verified {
			kept[c.ID] = "verified by " + c.By.String()
			if c.By.IsZero() { // it has no journal
				kept[c.ID] = "verified by odradek compact"
			}
		}
	}
	var lines []checkpointLine
	for _, n := range names {
		line := checkpointLine{n.Control, n.ID.String(), kept[n.ID]}
		if line.State == "" {
			line.State = "not kept"
		}
		lines = append(lines, line)
	}
	return lines, names, nil
}

// viewCheckpoint reads a checkpoint with all its parts.
func viewCheckpoint(ctx context.Context, store objectstore.Store, name checkpoint.Name) (*checkpointView, error) {
	h, err := checkpoint.ReadHead(ctx, store, name.Control, name.ID)
	if err != nil {
		return nil, err
	}
	s, err := h.Restore()
	if err != nil {
		return nil, err
	}
	v := &checkpointView{Control: h.Control, ID: h.ID.String(), Previous: h.Previous, Shards: h.Shards, StateBytes: len(h.State), head: h}
	for _, j := range h.Journals {
		known, _ := s.Journal(j.ID)
		if known == nil {
			return nil, fmt.Errorf("%s holds journal %s, which its control state does not know", name, j.ID)
		}
		v.Journals = append(v.Journals, checkpointJournal{j.ID.String(), known.NodeID, j.Next})
	}
	for _, p := range h.Parts {
		v.Parts = append(v.Parts, checkpointObject{p.Key(), p.Kind.String(), p.Shard, p.Rows, p.Size})
	}
	extents := make(map[topic.Partition]int)
	err = h.Rows(ctx, store, func(r checkpoint.Row) error {
		extents[r.Partition] = len(r.Entries)
		return nil
	})
	for _, p := range h.Partitions {
		v.Partitions = append(v.Partitions, checkpointPartition{partitionName(s, p.Partition), p.Start, p.End, p.From, extents[p.Partition]})
	}
	return v, err
}

func printCheckpoint(out io.Writer, v *checkpointView) error {
	err := table(out, fmt.Sprintf("checkpoint\t%s", v.head.Name()), func(row func(...any)) {
		row("control number", v.Control)
		row("computed from", v.Previous)
		row("control state", size(int64(v.StateBytes)))
		row("shards", v.Shards)
	})
	return errors.Join(err,
		table(out, "\nJOURNAL\tNODE\tNEXT", func(row func(...any)) {
			for _, j := range v.Journals {
				row(j.ID, j.NodeID, j.Next)
			}
		}),
		table(out, "\nPARTITION\t[START, END)\tCOMPACTED\tEXTENTS", func(row func(...any)) {
			for _, p := range v.Partitions {
				row(p.Partition, fmt.Sprintf("[%d, %d)", p.Start, p.End), p.Compacted, p.Extents)
			}
		}),
		table(out, "\nPART\tKIND\tSHARD\tROWS\tBYTES", func(row func(...any)) {
			for _, p := range v.Parts {
				row(p.Key, p.Kind, p.Shard, p.Rows, size(p.Bytes))
			}
		}))
}
