package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/odradek/odradek/agent/settings"
)

// doctorTime bounds all that doctor does.
const doctorTime = 2 * time.Minute

// How bad a finding is.
const (
	fine  = "ok"
	worse = "warn" // it works, worse than it could
	wrong = "bad"  // it does not work, or loses what it promises
)

// finding is what doctor saw in one place.
type finding struct {
	Level string `json:"level"`
	Part  string `json:"part"`
	What  string `json:"what"`
	Fix   string `json:"fix,omitempty"` // of each that is not fine
}

// diagnosis collects findings.
type diagnosis struct {
	Findings []finding `json:"findings"`
}

func (d *diagnosis) ok(part, format string, args ...any) {
	d.Findings = append(d.Findings, finding{fine, part, fmt.Sprintf(format, args...), ""})
}

func (d *diagnosis) warn(part, fix, format string, args ...any) {
	d.Findings = append(d.Findings, finding{worse, part, fmt.Sprintf(format, args...), fix})
}

func (d *diagnosis) bad(part, fix, format string, args ...any) {
	d.Findings = append(d.Findings, finding{wrong, part, fmt.Sprintf(format, args...), fix})
}

func (d *diagnosis) count(level string) (n int64) {
	for _, f := range d.Findings {
		if f.Level == level {
			n++
		}
	}
	return n
}

func doctorCommand(w world) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Try what an agent with these settings needs, and say how to mend what is wrong",
		Long: "Try what an agent with these settings needs, on the machine it is to run on: bucket, Redis, disk, clocks, addresses. Takes the\n" +
			"settings of `odradek agent`. Writes a few small objects below probe/ in the bucket and deletes them, and a file in the data\n" +
			"directory. Agents may be running. Each finding says its fix; the exit status is 1 if anything is bad.",
		Args:               cobra.ArbitraryArgs,
		FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlagsHandling: pflag.PassUnknownFlagToArgs},
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		unknown, err := unknownFlags(args)
		if err != nil {
			return err
		}
		s, err := settings.Load(settings.Sources{Flags: cmd.Flags(), Unknown: unknown, Environ: w.environ})
		if err != nil {
			return err
		}
		slog.SetDefault(slog.New(slog.DiscardHandler)) // what the parts would log is a finding here
		ctx, cancel := context.WithTimeout(cmd.Context(), doctorTime)
		defer cancel()
		var d diagnosis
		d.settings(s)
		d.bucket(ctx, s)
		d.redis(ctx, s)
		d.disk(s)
		d.addresses(ctx, s)
		if asJSON {
			err = printJSON(cmd.OutOrStdout(), d)
		} else {
			err = d.print(cmd.OutOrStdout())
		}
		if n := d.count(wrong); err == nil && n > 0 {
			err = errors.New(count(n, "thing") + " to mend")
		}
		return err
	}
	cmd.Flags().SortFlags = false
	settings.AddFlags(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (d *diagnosis) print(out io.Writer) error {
	var b strings.Builder
	for _, f := range d.Findings {
		fmt.Fprintf(&b, "%-5s %-9s %s\n", f.Level, f.Part, f.What)
		if f.Fix != "" {
			fmt.Fprintf(&b, "      %-9s fix: %s\n", "", f.Fix)
		}
	}
	fmt.Fprintf(&b, "\n%s fine, %s, %s\n", count(d.count(fine), "thing"), count(d.count(worse), "warning"), count(d.count(wrong), "thing")+" bad")
	_, err := io.WriteString(out, b.String())
	return err
}
