package main

import (
	"cmp"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/topic"
	"github.com/odradek/odradek/wal"
)

// walView is one ring of files that an agent left.
type walView struct {
	Journal string     `json:"journal"`
	Path    string     `json:"path"`
	Files   int        `json:"files"`
	Made    string     `json:"made"`
	Torn    bool       `json:"torn"`
	Problem string     `json:"problem,omitempty"`
	Entries []walEntry `json:"entries"`
}

// walEntry is what was admitted for one partition at once.
type walEntry struct {
	Start     uint64       `json:"start"`
	File      string       `json:"file"`
	Offset    int64        `json:"offset"`
	Bytes     int          `json:"bytes"`
	Partition string       `json:"partition"`
	Epoch     topic.Epoch  `json:"epoch"`
	Base      topic.Offset `json:"base"`
	Next      topic.Offset `json:"next"`
	Problem   string       `json:"problem,omitempty"`
}

func inspectWAL(i inspection) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "wal PATH",
		Short: "Print what a write-ahead log holds that is not known to be in the bucket",
		Long: "Print what a write-ahead log holds that is not known to be in the bucket. PATH is a data directory, or a ring in it,\n" +
			"quarantined or not. Topics have their names if the bucket can be read.",
		Args: names("PATH"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		rings, err := wal.Inspect(args[0])
		if err != nil {
			return err
		}
		s := control.New()
		if store, _, err := i.open(cmd.Context()); err == nil {
			s, _ = state(cmd.Context(), store) // names are all that it is read for
		}
		views := []walView{}
		bad := 0
		for _, r := range rings {
			v := viewRing(s, r)
			if v.Problem != "" {
				bad++
			}
			views = append(views, v)
		}
		if *i.json {
			err = printJSON(cmd.OutOrStdout(), views)
		} else {
			err = printRings(cmd.OutOrStdout(), args[0], views)
		}
		if err == nil && bad > 0 {
			err = fmt.Errorf("%s: %s of %d damaged", args[0], count(int64(bad), "ring"), len(views))
		}
		return err
	}
	return cmd
}

func viewRing(s *control.State, r *wal.Recovered) walView {
	v := walView{
		Journal: r.Identity.String(), Path: r.Path, Files: r.Files, Made: moment(r.Made.UnixMilli()), Torn: r.Torn, Entries: []walEntry{},
	}
	if r.Err != nil {
		v.Problem = r.Err.Error()
	}
	for e, err := range r.Entries() {
		if err != nil {
			v.Problem = err.Error()
			break
		}
		l := walEntry{Start: uint64(e.Start), File: e.File, Offset: e.Offset, Bytes: len(e.Payload)}
		logged, err := ingest.ReadLogged(e.Payload)
		if err != nil {
			l.Problem = err.Error()
			v.Problem = cmp.Or(v.Problem, l.Problem)
		} else {
			l.Partition, l.Epoch = partitionName(s, logged.Partition), logged.Epoch
			l.Base, l.Next = logged.Base, logged.Next
		}
		v.Entries = append(v.Entries, l)
	}
	return v
}

func printRings(out io.Writer, path string, views []walView) error {
	if len(views) == 0 {
		_, err := fmt.Fprintf(out, "%s: no write-ahead log\n", path)
		return err
	}
	for _, v := range views {
		_, err := fmt.Fprintf(out, "journal %s, made %s, %s in %s\n", v.Journal, v.Made, count(int64(v.Files), "file"), v.Path)
		if err != nil {
			return err
		}
		err = table(out, "POSITION\tFILE\tOFFSET\tBYTES\tPARTITION\tEPOCH\t[BASE, NEXT)", func(row func(...any)) {
			for _, e := range v.Entries {
				if e.Problem != "" {
					row(e.Start, e.File, e.Offset, e.Bytes, e.Problem)
					continue
				}
				row(e.Start, e.File, e.Offset, e.Bytes, e.Partition, e.Epoch, offsets(e.Base, e.Next))
			}
		})
		if err != nil {
			return err
		}
		if v.Torn {
			fmt.Fprintln(out, "the tail is torn: what was written behind it was never durable")
		}
		if v.Problem != "" {
			fmt.Fprintln(out, "damaged: "+v.Problem)
		}
	}
	return nil
}
