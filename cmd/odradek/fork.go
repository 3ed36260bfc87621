package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore/bucket"
)

func forkCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use: "fork", Short: "Start another cluster from a snapshot, without copying records",
		Long: "Start another cluster from a snapshot, without copying records: with the topics, records, offsets and groups of that moment.\n" +
			"It lives at another place of the same bucket: another prefix, or another directory. Both clusters go on by themselves.",
		Args: subcommand, RunE: help,
	}
	p := poolFlags(cmd, w)
	p.beside = true
	cmd.AddCommand(forkCreate(p), forkList(p), forkDelete(p))
	return cmd
}

func forkCreate(p pool) *cobra.Command {
	var snapshot string
	cmd := &cobra.Command{
		Use: "create PLACE", Short: "Make a cluster of a snapshot",
		Long: "Make a cluster of a snapshot, at a place of the same bucket where nothing lives: PLACE is a prefix, a directory, or the URL of\n" +
			"either. It takes some small requests, however much is stored. Then start agents with the --bucket that is printed, each with\n" +
			"a --data-dir of its own. A command that was broken off is run again.",
		Args: names("PLACE"),
	}
	cmd.Flags().StringVar(&snapshot, "snapshot", "", "`NAME` of the snapshot to begin from")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if snapshot == "" {
			return usagef("fork create: --snapshot is missing")
		}
		at, self, place, err := p.place(args[0])
		if err != nil {
			return err
		}
		url, err := bucket.At(at, place)
		if err != nil {
			return err
		}
		return p.changeHeir(cmd, func(ctx context.Context, e *cluster.Engine, heir *cluster.Heir) error {
			if _, err := e.Fork(ctx, heir, self, place, snapshot, places(at, bucket.Open)); err != nil {
				return oneLine(err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "fork of %s: start agents with --bucket '%s'\n", snapshot, url)
			return err
		})
	}
	return cmd
}

func forkList(p pool) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{Use: "list", Short: "List the forks of a cluster", Args: names()}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		at, err := p.bucket()
		if err != nil {
			return err
		}
		all, pins, err := p.pins(cmd.Context(), true)
		if err != nil {
			return err
		}
		for i, pin := range pins {
			all[i].State, all[i].Cluster = forkState(cmd.Context(), at, pin)
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), all)
		}
		return table(cmd.OutOrStdout(), "PLACE\tSNAPSHOT\tMADE\tSTATE\tCLUSTER\tID", func(row func(...any)) {
			for _, v := range all {
				row(v.Place, v.Snapshot, made(v.At), v.State, dash(v.Cluster), v.ID)
			}
		})
	}
	return cmd
}

// forkState says how a fork is, and the id of its cluster.
func forkState(ctx context.Context, url string, pin *control.Pin) (state, id string) {
	look, err := cluster.LookAtFork(ctx, pin, places(url, bucket.OpenToRead))
	switch {
	case err != nil:
		return "unknown: " + oneLine(err).Error(), ""
	case look.Never:
		return "never born", ""
	case !look.Born:
		return "unborn", ""
	case look.State.Ended():
		return "deleted", look.State.ClusterID()
	}
	return "alive", look.State.ClusterID()
}

func forkDelete(p pool) *cobra.Command {
	cmd := &cobra.Command{
		Use: "delete PLACE", Short: "Delete a fork with all it wrote",
		Long: "Delete a fork with all it wrote: its agents end, and everything at its place goes but its control log. The cluster that it\n" +
			"began from is not touched; what only the fork needed of it is deleted by that cluster's agents, after --gc-grace. A fork\n" +
			"that has snapshots or forks of its own is not deleted before they are. A command that was broken off is run again.",
		Args: names("PLACE"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		at, _, place, err := p.place(args[0])
		if err != nil {
			return err
		}
		return p.change(cmd, func(ctx context.Context, e *cluster.Engine) error {
			objects, bytes, err := e.EndFork(ctx, place, places(at, bucket.Open))
			if err != nil {
				return oneLine(err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "fork at %s is deleted: %s of %s\n", place, count(int64(objects), "object"), size(bytes))
			return err
		})
	}
	return cmd
}

// place reads what an argument says of where a fork lives: a URL of the same bucket, a prefix, or a directory. self is the
// place of the cluster itself.
func (p pool) place(arg string) (at, self, place string, err error) {
	if at, err = p.bucket(); err != nil {
		return "", "", "", err
	}
	if self, err = bucket.Place(at); err != nil {
		return "", "", "", err
	}
	switch {
	case strings.Contains(arg, "://"):
		if place, err = bucket.Place(arg); err == nil {
			same, aerr := bucket.At(at, place)
			if back, berr := bucket.At(arg, place); aerr != nil || berr != nil || same != back {
				err = usagef("%s is not in the bucket of %s", arg, at)
			}
		}
	case strings.HasPrefix(at, "file:"):
		place, err = filepath.Abs(arg)
	default:
		place = "/" + strings.Trim(arg, "/")
	}
	if err == nil {
		err = bucket.CheckPlace(place)
	}
	if err == nil {
		err = apart(self, place)
	}
	return at, self, place, err
}

// apart refuses a place that lies within the cluster's own, or around it, unless the cluster has no prefix at all: there the
// names do not meet.
func apart(self, place string) error {
	within := func(a, b string) bool { return a == b || strings.HasPrefix(b, strings.TrimSuffix(a, "/")+"/") }
	first, _, _ := strings.Cut(strings.TrimPrefix(place, "/"), "/")
	for _, own := range []string{"control", "journal", "checkpoint", "compacted", "ledger", "probe"} {
		if self == "/" && first == own {
			return usagef("%s lies within what the cluster itself consists of", place)
		}
	}
	if within(place, self) || self != "/" && within(self, place) {
		return usagef("%s and the cluster's own place, %s, lie within each other", place, self)
	}
	return nil
}
