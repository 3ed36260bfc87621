package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func groupCommand(w world) *cobra.Command {
	cmd := &cobra.Command{Use: "group", Short: "List and describe consumer groups", Args: subcommand, RunE: help}
	bootstrap := bootstrapFlag(cmd, w)
	cmd.AddCommand(groupList(bootstrap), groupDescribe(bootstrap))
	return cmd
}

func groupList(bootstrap *string) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List groups", Args: names(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return admin(cmd, *bootstrap, func(ctx context.Context, c *kadm.Client) error {
				groups, err := c.ListGroups(ctx)
				if err != nil {
					return fmt.Errorf("list groups: %w", err)
				}
				return table(cmd.OutOrStdout(), "GROUP\tSTATE\tTYPE\tCOORDINATOR", func(row func(...any)) {
					for _, g := range groups.Sorted() {
						row(g.Group, dash(g.State), dash(g.ProtocolType), g.Coordinator)
					}
				})
			})
		},
	}
}

func groupDescribe(bootstrap *string) *cobra.Command {
	return &cobra.Command{
		Use: "describe GROUP", Short: "Show a group's members, offsets and lag", Args: names("GROUP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return admin(cmd, *bootstrap, func(ctx context.Context, c *kadm.Client) error {
				lags, err := c.Lag(ctx, args[0])
				if err != nil {
					return fmt.Errorf("describe group %s: %w", args[0], err)
				}
				g := lags[args[0]]
				err = g.Error()
				switch {
				case errors.Is(err, kerr.GroupIDNotFound), err == nil && g.State == "Dead" && len(g.Lag) == 0:
					return fmt.Errorf("group %s does not exist", args[0])
				case err != nil:
					return fmt.Errorf("describe group %s: %w", args[0], err)
				}
				return printGroup(cmd.OutOrStdout(), g)
			})
		},
	}
}

// printGroup draws a group: its state, its members, and per partition what is committed and how much is left.
func printGroup(w io.Writer, g kadm.DescribedGroupLag) error {
	fmt.Fprintf(w, "%s  %s, coordinator %d, %s, lag %d\n", g.Group, strings.Join(words(g.State, g.ProtocolType, g.Protocol), " "),
		g.Coordinator.NodeID, count(int64(len(g.Members)), "member"), g.Lag.Total())
	if len(g.Members) > 0 {
		err := table(w, "MEMBER\tINSTANCE\tCLIENT\tHOST", func(row func(...any)) {
			for _, m := range g.Members {
				instance := "-"
				if m.InstanceID != nil {
					instance = *m.InstanceID
				}
				row(m.MemberID, instance, dash(m.ClientID), dash(m.ClientHost))
			}
		})
		if err != nil {
			return err
		}
	}
	if len(g.Lag) == 0 {
		return nil
	}
	return table(w, "TOPIC\tPARTITION\tCOMMITTED\tEND\tLAG\tMEMBER", func(row func(...any)) {
		for _, l := range g.Lag.Sorted() {
			row(lagRow(l)...)
		}
	})
}

// lagRow is the row of one partition of a group; what is not known is a dash.
func lagRow(l kadm.GroupMemberLag) []any {
	committed, end, lag, member := "-", "-", "-", "-"
	if l.Commit.At >= 0 {
		committed = fmt.Sprint(l.Commit.At)
	}
	if l.End.Err == nil {
		end = fmt.Sprint(l.End.Offset)
	}
	switch {
	case l.Err != nil:
		lag = codeName(l.Err)
	case l.Lag >= 0:
		lag = fmt.Sprint(l.Lag)
	}
	if l.Member != nil {
		member = l.Member.MemberID
	}
	return []any{l.Topic, l.Partition, committed, end, lag, member}
}

// words drops what is empty.
func words(all ...string) []string {
	var some []string
	for _, w := range all {
		if w != "" {
			some = append(some, w)
		}
	}
	return some
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
