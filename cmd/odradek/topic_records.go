package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// endOffset stands for a partition's high watermark in DeleteRecords.
const endOffset = -1

func topicDeleteRecords(bootstrap *string) *cobra.Command {
	cmd := &cobra.Command{
		Use: "delete-records NAME [PARTITION:OFFSET…]", Short: "Delete the oldest records of a topic's partitions",
		Long: "Delete the records of a topic's partitions that lie before an offset each, for all clients and for ever. The offset\n" +
			"\"end\" stands for all records that there are. The new starts of the partitions are printed.",
		Example: "  odradek topic delete-records orders 0:1000 1:end\n  odradek topic delete-records orders --all",
		Args:    func(cmd *cobra.Command, args []string) error { return names("NAME")(cmd, args[:min(1, len(args))]) },
	}
	all := cmd.Flags().Bool("all", false, "delete all records of all partitions")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		before, err := recordsBefore(args[1:])
		switch {
		case err != nil:
			return err
		case *all == (len(before) > 0):
			return usagef("name partitions and offsets, as 0:1000 or 0:end, or give --all")
		}
		return admin(cmd, *bootstrap, func(ctx context.Context, c *kadm.Client) error {
			t, err := lookupTopic(ctx, c, args[0])
			if err != nil {
				return err
			}
			for _, p := range t.Partitions.Sorted() {
				if *all {
					before[p.Partition] = endOffset
				}
			}
			return deleteRecords(ctx, cmd, c, t, before)
		})
	}
	return cmd
}

// recordsBefore reads PARTITION:OFFSET arguments; all that are none are reported.
func recordsBefore(args []string) (map[int32]int64, error) {
	before := make(map[int32]int64)
	var wrong []string
	for _, arg := range args {
		name, offset, ok := strings.Cut(arg, ":")
		partition, err := strconv.ParseInt(name, 10, 32)
		at := int64(endOffset)
		if ok && err == nil && offset != "end" {
			at, err = strconv.ParseInt(offset, 10, 64)
			ok = at >= 0
		}
		_, twice := before[int32(partition)]
		switch {
		case !ok || err != nil || partition < 0:
			wrong = append(wrong, arg+" is no PARTITION:OFFSET")
		case twice:
			wrong = append(wrong, fmt.Sprintf("partition %d is named twice", partition))
		}
		before[int32(partition)] = at
	}
	if len(wrong) > 0 {
		return nil, usagef("%s", strings.Join(wrong, "\n"))
	}
	return before, nil
}

// deleteRecords asks for all partitions at once and draws a line for each; the error names those that failed.
func deleteRecords(ctx context.Context, cmd *cobra.Command, c *kadm.Client, t kadm.TopicDetail, before map[int32]int64) error {
	offsets := make(kadm.Offsets)
	for partition, at := range before {
		offsets.AddOffset(t.Topic, partition, at, -1)
	}
	told, err := c.DeleteRecords(ctx, offsets)
	if err != nil && len(told) == 0 {
		return fmt.Errorf("delete records of %s: %w", t.Topic, err)
	}
	var failed []string
	if err := table(cmd.OutOrStdout(), "PARTITION\tSTART", func(row func(...any)) {
		for _, r := range told.Sorted() {
			if r.Err != nil {
				failed = append(failed, fmt.Sprintf("partition %d: %s", r.Partition, codeName(r.Err)))
				row(r.Partition, "-")
				continue
			}
			row(r.Partition, r.LowWatermark)
		}
	}); err != nil {
		return err
	}
	for partition := range before {
		if _, ok := told.Lookup(t.Topic, partition); !ok {
			failed = append(failed, fmt.Sprintf("partition %d: no answer", partition))
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("records of %s not deleted: %s", t.Topic, strings.Join(failed, ", "))
	}
	return nil
}
