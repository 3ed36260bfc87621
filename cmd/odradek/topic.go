package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/topic"
)

func topicCommand(w world) *cobra.Command {
	cmd := &cobra.Command{Use: "topic", Short: "Create, list, describe and delete topics, and delete records", Args: subcommand, RunE: help}
	bootstrap := bootstrapFlag(cmd, w)
	cmd.AddCommand(topicCreate(bootstrap), topicList(bootstrap), topicDescribe(bootstrap), topicDelete(bootstrap), topicDeleteRecords(bootstrap))
	return cmd
}

func topicCreate(bootstrap *string) *cobra.Command {
	cmd := &cobra.Command{Use: "create NAME", Short: "Create a topic", Args: names("NAME")}
	partitions := cmd.Flags().Int32("partitions", -1, "number of partitions; -1 leaves it to the cluster (num.partitions)")
	pairs := cmd.Flags().StringArray("config", nil, "topic setting with Kafka's name, `NAME=VALUE` (repeatable)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *partitions == 0 || *partitions < -1 {
			return usagef("--partitions: %d is no number of partitions", *partitions)
		}
		configs, err := topicConfigs(*pairs)
		if err != nil {
			return err
		}
		return admin(cmd, *bootstrap, func(ctx context.Context, c *kadm.Client) error {
			made, err := c.CreateTopic(ctx, *partitions, -1, configs, args[0])
			if err != nil {
				return fmt.Errorf("create topic %s: %w", args[0], explain(err, made.ErrMessage))
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "created topic %s with %s\n",
				args[0], count(int64(made.NumPartitions), "partition"))
			return err
		})
	}
	return cmd
}

// topicConfigs reads the NAME=VALUE pairs of --config; all that are none are reported.
func topicConfigs(pairs []string) (map[string]*string, error) {
	configs := map[string]*string{}
	var wrong []string
	for _, p := range pairs {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			wrong = append(wrong, "--config: "+p+" is no NAME=VALUE")
			continue
		}
		configs[name] = &value
	}
	if len(wrong) > 0 {
		return nil, usagef("%s", strings.Join(wrong, "\n"))
	}
	return configs, nil
}

func topicList(bootstrap *string) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List topics", Args: names()}
	internal := cmd.Flags().Bool("internal", false, "list internal topics too")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return admin(cmd, *bootstrap, func(ctx context.Context, c *kadm.Client) error {
			topics, err := c.ListTopicsWithInternal(ctx)
			if err != nil {
				return fmt.Errorf("list topics: %w", err)
			}
			return table(cmd.OutOrStdout(), "TOPIC\tPARTITIONS\tID", func(row func(...any)) {
				for _, t := range topics.Sorted() {
					if !t.IsInternal || *internal {
						row(t.Topic, len(t.Partitions), topic.ID(t.ID))
					}
				}
			})
		})
	}
	return cmd
}

func topicDescribe(bootstrap *string) *cobra.Command {
	cmd := &cobra.Command{Use: "describe NAME", Short: "Show a topic's partitions, offsets and settings", Args: names("NAME")}
	all := cmd.Flags().Bool("all", false, "show settings that have their default, too")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return admin(cmd, *bootstrap, func(ctx context.Context, c *kadm.Client) error {
			t, err := lookupTopic(ctx, c, args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s  id %s, %s\n", t.Topic, topic.ID(t.ID), count(int64(len(t.Partitions)), "partition"))
			if err := describeConfigs(ctx, c, cmd.OutOrStdout(), t.Topic, *all); err != nil {
				return err
			}
			return describePartitions(ctx, c, cmd.OutOrStdout(), t)
		})
	}
	return cmd
}

// lookupTopic finds a topic without creating it.
func lookupTopic(ctx context.Context, c *kadm.Client, name string) (kadm.TopicDetail, error) {
	topics, err := c.ListTopicsWithInternal(ctx, name)
	if err != nil {
		return kadm.TopicDetail{}, fmt.Errorf("look up topic %s: %w", name, err)
	}
	t, ok := topics[name]
	if !ok {
		return t, fmt.Errorf("look up topic %s: the broker said nothing of it", name)
	}
	switch {
	case errors.Is(t.Err, kerr.UnknownTopicOrPartition):
		return t, fmt.Errorf("topic %s does not exist", name)
	case t.Err != nil:
		return t, fmt.Errorf("look up topic %s: %w", name, t.Err)
	}
	return t, nil
}

func describeConfigs(ctx context.Context, c *kadm.Client, w io.Writer, name string, all bool) error {
	described, err := c.DescribeTopicConfigs(ctx, name)
	if err != nil {
		return fmt.Errorf("describe settings of %s: %w", name, err)
	}
	for _, d := range described {
		if d.Err != nil {
			return fmt.Errorf("describe settings of %s: %w", name, explain(d.Err, d.ErrMessage))
		}
		slices.SortFunc(d.Configs, func(a, b kadm.Config) int { return strings.Compare(a.Key, b.Key) })
		for _, config := range d.Configs {
			if all || config.Source == kmsg.ConfigSourceDynamicTopicConfig {
				fmt.Fprintf(w, "  %s=%s\n", config.Key, config.MaybeValue())
			}
		}
	}
	return nil
}

// describePartitions draws one line a partition; offsets are [start, end).
func describePartitions(ctx context.Context, c *kadm.Client, w io.Writer, t kadm.TopicDetail) error {
	starts, err := c.ListStartOffsets(ctx, t.Topic)
	if err != nil {
		return fmt.Errorf("list offsets of %s: %w", t.Topic, err)
	}
	ends, err := c.ListEndOffsets(ctx, t.Topic)
	if err != nil {
		return fmt.Errorf("list offsets of %s: %w", t.Topic, err)
	}
	return table(w, "PARTITION\tLEADER\tEPOCH\tSTART\tEND", func(row func(...any)) {
		for _, p := range t.Partitions.Sorted() {
			row(p.Partition, p.Leader, p.LeaderEpoch,
				offset(starts.Lookup(t.Topic, p.Partition)), offset(ends.Lookup(t.Topic, p.Partition)))
		}
	})
}

// offset words a listed offset: the number, or why there is none.
func offset(o kadm.ListedOffset, ok bool) string {
	switch {
	case !ok:
		return "-"
	case o.Err != nil:
		return codeName(o.Err)
	}
	return fmt.Sprint(o.Offset)
}

func topicDelete(bootstrap *string) *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Delete a topic and all its records", Args: names("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return admin(cmd, *bootstrap, func(ctx context.Context, c *kadm.Client) error {
				gone, err := c.DeleteTopic(ctx, args[0])
				switch {
				case errors.Is(err, kerr.UnknownTopicOrPartition):
					return fmt.Errorf("topic %s does not exist", args[0])
				case err != nil:
					return fmt.Errorf("delete topic %s: %w", args[0], explain(err, gone.ErrMessage))
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "deleted topic %s\n", args[0])
				return err
			})
		},
	}
}

// table draws rows under a head of tab-separated names.
func table(w io.Writer, head string, rows func(row func(...any))) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, head)
	rows(func(cells ...any) {
		for i, c := range cells {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, c)
		}
		fmt.Fprintln(t)
	})
	return t.Flush()
}

// count words a number of things: `1 partition`, `4 partitions`.
func count(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
