package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/odradek/odradek/agent/verify"
)

func verifyCommand(w world) *cobra.Command {
	var fast, asJSON bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check everything in a bucket, and print what is stored",
		Long: "Walk the control log and all journals of a bucket, check every checksum and every invariant, and print what is\n" +
			"stored. Nothing is locked or written: agents may be running or not. The exit status is 1 if something is wrong.\n" +
			"With --redis the index there is proved against the bucket: it may be behind, never ahead of it or different.",
		Args: names(),
	}
	open, redis := bucketFlag(cmd, w), redisFlags(cmd, w)
	cmd.Flags().BoolVar(&fast, "fast", false, "read the footers only, not the records")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		store, text, err := open(cmd.Context())
		if err != nil {
			return err
		}
		opt := verify.Options{Fast: fast}
		index, _, err := redis(cmd.Context())
		if err != nil {
			return err
		}
		if index != nil {
			defer index.Close()
			opt.Index = index
		}
		report, err := verify.Run(cmd.Context(), store, opt)
		if err != nil {
			return fmt.Errorf("verify %s: %w", text, oneLine(err))
		}
		if asJSON {
			err = printJSON(cmd.OutOrStdout(), report)
		} else {
			err = printReport(cmd.OutOrStdout(), text, report)
		}
		if err != nil {
			return err
		}
		switch {
		case !report.Clean():
			return errors.New(count(int64(len(report.Findings)+report.Unlisted["findings"]), "finding"))
		case report.Index != nil && report.Index.NotChecked != "":
			return fmt.Errorf("the index was not checked: %s", report.Index.NotChecked)
		}
		return nil
	}
	return cmd
}

// printReport prints a report for people.
func printReport(out io.Writer, bucket string, r verify.Report) error {
	how := "every byte read"
	if r.Fast {
		how = "footers read"
	}
	err := table(out, "bucket\t"+bucket, func(row func(...any)) {
		row("cluster", fmt.Sprintf("%s, format %d", dash(r.ClusterID), r.Control.Format))
		row("control log", fmt.Sprintf("%s, %s, %d void, %s", count(int64(r.Control.Numbers), "number"),
			count(int64(r.Control.Records), "record"), len(r.Control.Void), size(r.Control.Bytes)))
		for _, v := range r.Control.Void {
			row("", fmt.Sprintf("control %d: %s: void: %s", v.Number, v.Record, v.Why))
		}
		row("eras", eras(r.Eras))
		row("checkpoints", checkpoints(r.Checkpoints))
		row("slots", fmt.Sprintf("%s in %s of %s, %s", count(r.Totals.Records, "record"), count(int64(r.Totals.Slots), "slot"),
			size(r.Totals.Bytes), how))
		row("compacted", compacted(r.Compacted))
		row("compression", fmt.Sprintf("%s of batches in %s, ratio %.3f", size(r.Totals.Raw), size(r.Totals.Stored), r.Totals.Ratio))
		row("garbage", fmt.Sprintf("%s of %s", count(int64(r.Totals.Garbage), "object"), size(r.Totals.GarbageBy)))
		if r.Index != nil {
			row("index", indexLine(r.Index))
		}
	})
	return errors.Join(err, printAccounts(out, r.Accounts), printJournals(out, r.Journals), printTopics(out, r.Topics), printFindings(out, r))
}

func indexLine(x *verify.IndexReport) string {
	if x.NotChecked != "" {
		return "not checked: " + x.NotChecked
	}
	return fmt.Sprintf("era %d in run %s, %s and %s as in the bucket or told below, control number %d applied, %s behind", x.Era, x.RunID,
		count(int64(x.Slots), "slot"), count(int64(x.Ends), "end"), x.Applied, count(int64(x.SlotsBehind), "slot"))
}

func eras(all []verify.EraReport) string {
	if len(all) == 0 {
		return "none"
	}
	newest := all[len(all)-1]
	return fmt.Sprintf("%d, newest %d in run %s", len(all), newest.Number, newest.RunID)
}

func checkpoints(all []verify.CheckpointReport) string {
	for _, c := range slices.Backward(all) {
		if c.Verified {
			return fmt.Sprintf("%d, newest at control %d: %s of %s, %s since", len(all), c.Control, count(int64(c.Parts), "part"), size(c.Bytes),
				count(int64(c.SlotsSince), "slot"))
		}
	}
	return fmt.Sprintf("%d, none verified", len(all))
}

func compacted(c verify.CompactedReport) string {
	if c.Objects == 0 {
		return "nothing"
	}
	text := fmt.Sprintf("%s in %s in %s of %s, %s of them live", count(c.Records, "record"), count(int64(c.Runs), "run"),
		count(int64(c.Objects), "object"), size(c.Bytes), size(c.Live))
	if c.Same > 0 {
		text += fmt.Sprintf("; %s in slots are the same", count(int64(c.Same), "extent"))
	}
	return text
}

// printAccounts prints how much of what the bucket holds. Every object is in one class.
func printAccounts(out io.Writer, all []verify.Account) error {
	return table(out, "\nCLASS\tOBJECTS\tBYTES", func(row func(...any)) {
		for _, a := range all {
			row(a.Class, a.Objects, size(a.Bytes))
		}
	})
}

func printJournals(out io.Writer, all []verify.JournalInfo) error {
	return table(out, "\nJOURNAL\tNODE\tSTATE\tTRIM\tSLOTS\tBYTES\tGARBAGE", func(row func(...any)) {
		for _, j := range all {
			state := fmt.Sprintf("%s at slot %d", j.State, j.End)
			if j.State == verify.StateOpen {
				state = fmt.Sprintf("open, tail at slot %d", j.End)
			}
			row(j.ID, j.NodeID, state, j.Trim, j.Slots, size(j.Bytes), j.Garbage)
		}
	})
}

// printTopics prints the partitions that are not empty, and how many are.
func printTopics(out io.Writer, all []verify.TopicReport) error {
	return table(out, "\nTOPIC\tPARTITION\tEPOCH\t[START, END)\tRUNS\tRECORDS\tSTORED\tRAW\tPRODUCERS", func(row func(...any)) {
		for _, t := range all {
			empty := 0
			for _, p := range t.Partitions {
				if p.Records == 0 {
					empty++
					continue
				}
				row(t.Name, p.Index, p.Epoch, fmt.Sprintf("[%d, %d)", p.Start, p.End), p.Runs, p.Records, size(p.Stored), size(p.Raw), p.Producers)
			}
			if empty > 0 {
				row(t.Name, fmt.Sprintf("%d empty", empty))
			}
		}
	})
}

func printFindings(out io.Writer, r verify.Report) error {
	lines := []string{""}
	for _, n := range r.Notes {
		lines = append(lines, "note: "+n)
	}
	if r.Index != nil {
		for _, l := range r.Index.Lag {
			lines = append(lines, "lag: "+l)
		}
	}
	for _, g := range r.Garbage {
		lines = append(lines, fmt.Sprintf("garbage: %s: %s, %s", g.Key, size(g.Size), g.Why))
	}
	for _, f := range r.Findings {
		lines = append(lines, "finding: "+f.String())
	}
	for _, what := range slices.Sorted(maps.Keys(r.Unlisted)) {
		lines = append(lines, fmt.Sprintf("and %d more %s, not listed", r.Unlisted[what], what))
	}
	if r.Clean() {
		lines = append(lines, "clean")
	}
	for _, l := range lines {
		if _, err := fmt.Fprintln(out, l); err != nil {
			return err
		}
	}
	return nil
}
