package main

import (
	"fmt"
	"io"
	"math"

	"github.com/spf13/cobra"

	"github.com/odradek/odradek/agent/verify"
	"github.com/odradek/odradek/control"
)

// controlLine is one control record.
type controlLine struct {
	Number uint64 `json:"number"`
	Type   string `json:"type"`
	Record string `json:"record"`
	Void   bool   `json:"void"`
	Why    string `json:"why,omitempty"`
}

func (l controlLine) String() string {
	if l.Void {
		return fmt.Sprintf("%d %s void: %s", l.Number, l.Record, l.Why)
	}
	return fmt.Sprintf("%d %s", l.Number, l.Record)
}

func inspectControl(i inspection) *cobra.Command {
	var from, to uint64
	cmd := &cobra.Command{
		Use: "control", Short: "Print the control log, a line for each record", Args: names(),
	}
	cmd.Flags().Uint64Var(&from, "from", 0, "first number")
	cmd.Flags().Uint64Var(&to, "to", math.MaxUint64, "number to stop before")
	cmd.Flags().Lookup("to").DefValue = "the end"
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		store, _, err := i.open(cmd.Context())
		if err != nil {
			return err
		}
		var lines []controlLine
		// Whether a record holds depends on all before it: they are read in any case.
		s, base, err := verify.Beginning(cmd.Context(), store, reads)
		if err != nil {
			return err
		}
		if n := base.Control; n > 0 && from <= uint64(n) {
			fmt.Fprintf(cmd.ErrOrStderr(), "what was decided up to number %d is in checkpoint %s: older records were deleted\n", n, base)
		}
		err = verify.EachControl(cmd.Context(), store, s, reads, func(n verify.Number) error {
			if uint64(n.N) < from || uint64(n.N) >= to {
				return nil
			}
			for k, r := range n.Records {
				lines = append(lines, controlLine{uint64(n.N), r.Type().String(), control.Describe(r), n.Outcomes[k].Void, n.Outcomes[k].Why})
			}
			return nil
		})
		if printed := printLines(cmd.OutOrStdout(), *i.json, lines); printed != nil {
			return printed
		}
		return err
	}
	return cmd
}

// printLines prints values one a line, or as one JSON list.
func printLines[T fmt.Stringer](out io.Writer, asJSON bool, lines []T) error {
	if asJSON {
		return printJSON(out, append([]T{}, lines...))
	}
	for _, l := range lines {
		if _, err := fmt.Fprintln(out, l); err != nil {
			return err
		}
	}
	return nil
}
