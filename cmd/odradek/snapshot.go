package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

func snapshotCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use: "snapshot", Short: "Keep a cluster as it is under a name, to start forks from",
		Long: "Keep a cluster as it is under a name: topics, records, offsets, groups. Agents go on meanwhile. Nothing is copied: what the\n" +
			"snapshot needs is not deleted until the snapshot is. `odradek fork create` starts another cluster from it.",
		Args: subcommand, RunE: help,
	}
	p := poolFlags(cmd, w)
	p.beside = true
	cmd.AddCommand(snapshotCreate(p), snapshotList(p), snapshotDelete(p))
	return cmd
}

func snapshotCreate(p pool) *cobra.Command {
	return &cobra.Command{
		Use: "create NAME", Short: "Keep the cluster as it is now",
		Long: "Keep the cluster as it is now. Everything that was acknowledged before the command began is in the snapshot. It takes some\n" +
			"small requests per agent, however much is stored.",
		Args: names("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.change(cmd, func(ctx context.Context, e *cluster.Engine) error {
				pin, err := e.Snapshot(ctx, args[0])
				if err != nil {
					return oneLine(err)
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "snapshot %s: %s of %s, after control number %d\n", pin.Name,
					count(int64(e.State().PartitionCount()), "partition"), count(int64(e.State().TopicCount()), "topic"), pin.Moment.Number)
				return err
			})
		},
	}
}

func snapshotDelete(p pool) *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Delete a snapshot",
		Long: "Delete a snapshot. Forks that began from it stay. What only the snapshot needed is deleted by the agents, after --gc-grace.",
		Args: names("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.change(cmd, func(ctx context.Context, e *cluster.Engine) error {
				if err := e.DeleteSnapshot(ctx, args[0]); err != nil {
					return oneLine(err)
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "snapshot %s is deleted\n", args[0])
				return err
			})
		},
	}
}

// pinView is what the lists print of a snapshot or a fork.
type pinView struct {
	Name     string     `json:"name,omitempty"`
	Place    string     `json:"place,omitempty"`
	Snapshot string     `json:"snapshot,omitempty"` // its name, or its id if it is deleted
	State    string     `json:"state,omitempty"`    // of a fork: alive, unborn, never, ended
	Cluster  string     `json:"cluster,omitempty"`  // of a fork: its cluster id
	ID       string     `json:"id"`
	Control  topic.Slot `json:"control"` // number of its record
	After    topic.Slot `json:"after"`   // control number that it stands after
	At       *time.Time `json:"at,omitempty"`
}

func snapshotList(p pool) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{Use: "list", Short: "List the snapshots of a cluster", Args: names()}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		all, _, err := p.pins(cmd.Context(), false)
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), all)
		}
		return table(cmd.OutOrStdout(), "NAME\tMADE\tCONTROL\tID", func(row func(...any)) {
			for _, v := range all {
				row(v.Name, made(v.At), v.Control, v.ID)
			}
		})
	}
	return cmd
}

func made(at *time.Time) string {
	if at == nil {
		return "-"
	}
	return ago(*at)
}

// pins lists the snapshots or the forks of the cluster, oldest first, and gives the pins themselves.
func (p pool) pins(ctx context.Context, forks bool) ([]pinView, []*control.Pin, error) {
	store, text, err := p.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	s, err := state(ctx, store)
	if err != nil {
		return nil, nil, err
	}
	if s.Next() == 0 {
		return nil, nil, fmt.Errorf("%s: %w", text, errNoCluster)
	}
	var pins []*control.Pin
	for pin := range s.Pins() {
		if pin.IsFork() == forks {
			pins = append(pins, pin)
		}
	}
	slices.SortFunc(pins, func(a, b *control.Pin) int { return int(a.At) - int(b.At) })
	views := []pinView{}
	for _, pin := range pins {
		v := pinView{Name: pin.Name, Place: pin.Place, ID: pin.ID.String(), Control: pin.At, After: pin.Moment.Number}
		if forks {
			v.Snapshot = pin.Snapshot.String()
			if from, ok := s.Pin(pin.Snapshot); ok {
				v.Snapshot = from.Name
			}
		}
		if info, err := store.Head(ctx, slotlog.ControlKey(pin.At)); err == nil {
			v.At = &info.Modified
		} else if ctx.Err() != nil {
			return nil, nil, errors.Join(err, context.Cause(ctx))
		}
		views = append(views, v)
	}
	return views, pins, nil
}
