package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/odradek/odradek/compaction"
)

// garbageView is what gc prints.
type garbageView struct {
	Goes       []garbageLine `json:"goes"`  // once its grace is over
	Waits      []garbageLine `json:"waits"` // for what Why says
	GoesBytes  int64         `json:"goes_bytes"`
	WaitsBytes int64         `json:"waits_bytes"`
}

type garbageLine struct {
	Key  string `json:"key"`
	Size int64  `json:"size"`
	Why  string `json:"why"`
}

func gcCommand(w world) *cobra.Command {
	var dryRun, asJSON bool
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "List the objects that nothing needs any more, and why",
		Long: "List the objects that agents will delete, what others that are not needed wait for, and what both hold. Nothing is\n" +
			"locked or written. Deleting is left to the agents: they know for how long nothing needed an object. What they deleted\n" +
			"is in the ledgers, in the bucket under " + compaction.LedgerPrefix + ".",
		Args: names(),
	}
	open := bucketFlag(cmd, w)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only list: there is nothing else that this command does")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !dryRun {
			return usagef("gc: deleting is left to the agents; --dry-run lists what they will delete")
		}
		store, text, err := open(cmd.Context())
		if err != nil {
			return err
		}
		s, err := state(cmd.Context(), store)
		if err != nil {
			return err
		}
		v := garbageView{Goes: []garbageLine{}, Waits: []garbageLine{}}
		err = compaction.FindGarbage(cmd.Context(), store, s, func(g compaction.Garbage, waits bool) error {
			if waits {
				v.Waits, v.WaitsBytes = append(v.Waits, garbageLine(g)), v.WaitsBytes+g.Size
			} else {
				v.Goes, v.GoesBytes = append(v.Goes, garbageLine(g)), v.GoesBytes+g.Size
			}
			return nil
		})
		if err == nil {
			err = compaction.FindForgotten(cmd.Context(), store, s, func(g compaction.Garbage, at time.Time, waits bool) error {
				g.Why += ", stored " + ago(at)
				if waits {
					v.Waits, v.WaitsBytes = append(v.Waits, garbageLine(g)), v.WaitsBytes+g.Size
				} else {
					v.Goes, v.GoesBytes = append(v.Goes, garbageLine(g)), v.GoesBytes+g.Size
				}
				return nil
			})
		}
		if err != nil {
			return fmt.Errorf("gc %s: %w", text, oneLine(err))
		}
		out := cmd.OutOrStdout()
		if asJSON {
			return printJSON(out, v)
		}
		var b strings.Builder
		for _, g := range v.Goes {
			fmt.Fprintf(&b, "goes: %s: %s, %s\n", g.Key, size(g.Size), g.Why)
		}
		for _, g := range v.Waits {
			fmt.Fprintf(&b, "waits: %s: %s, %s\n", g.Key, size(g.Size), g.Why)
		}
		fmt.Fprintf(&b, "%s of %s go after their grace or age, %s of %s wait\n", count(int64(len(v.Goes)), "object"), size(v.GoesBytes),
			count(int64(len(v.Waits)), "object"), size(v.WaitsBytes))
		_, err = fmt.Fprint(out, b.String())
		return err
	}
	return cmd
}
