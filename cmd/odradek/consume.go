package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// commitTimeout is for the last commit of a group's member.
const commitTimeout = 10 * time.Second

// consumeFlags are the flags of odradek consume.
type consumeFlags struct {
	group     string
	from      string
	limit     int64
	partition int32
	keys      bool
	offsets   bool
}

func consumeCommand(w world) *cobra.Command {
	var flags consumeFlags
	cmd := &cobra.Command{
		Use: "consume TOPIC", Short: "Print records, one value a line, until interrupted", Args: names("TOPIC"),
	}
	bootstrap := bootstrapFlag(cmd, w)
	cmd.Flags().StringVar(&flags.group, "group", "", "read as a member of this consumer group and commit what was printed")
	cmd.Flags().StringVar(&flags.from, "from", "start", "where to begin: start or end; with a group, only where it has no offset yet")
	cmd.Flags().Int64VarP(&flags.limit, "count", "n", 0, "end after this many records; 0 goes on")
	cmd.Flags().Int32Var(&flags.partition, "partition", -1, "read this partition only; -1 reads all")
	cmd.Flags().BoolVar(&flags.keys, "keys", false, "print the key and a tab before each value")
	cmd.Flags().BoolVar(&flags.offsets, "offsets", false, "print partition:offset and a tab before each record")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opts, err := flags.options(args[0])
		if err != nil {
			return err
		}
		if err := flags.check(cmd, *bootstrap, args[0]); err != nil {
			return err
		}
		client, err := connect(cmd.Context(), *bootstrap, cmd.ErrOrStderr(), opts...)
		if err != nil {
			return err
		}
		defer client.CloseAllowingRebalance()
		return flags.consume(cmd.Context(), client, cmd.OutOrStdout())
	}
	return cmd
}

// options checks the flags and gives the client's options; all problems are reported.
func (f consumeFlags) options(topic string) ([]kgo.Opt, error) {
	var wrong []string
	start := kgo.NewOffset().AtStart()
	switch f.from {
	case "start":
	case "end":
		start = kgo.NewOffset().AtEnd()
	default:
		wrong = append(wrong, "--from: "+f.from+" is none of start, end")
	}
	if f.limit < 0 {
		wrong = append(wrong, fmt.Sprintf("-n: %d is no number of records", f.limit))
	}
	if f.partition < -1 {
		wrong = append(wrong, fmt.Sprintf("--partition: %d is no partition", f.partition))
	}
	if f.group != "" && f.partition >= 0 {
		wrong = append(wrong, "--partition: a group's partitions are given out by the group; leave one of the two")
	}
	if len(wrong) > 0 {
		return nil, usagef("%s", strings.Join(wrong, "\n"))
	}
	opts := []kgo.Opt{kgo.ConsumeResetOffset(start)}
	switch {
	case f.group != "":
		return append(opts, kgo.ConsumerGroup(f.group), kgo.ConsumeTopics(topic),
			kgo.AutoCommitMarks(), kgo.BlockRebalanceOnPoll()), nil
	case f.partition >= 0:
		return append(opts, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {f.partition: start}})), nil
	}
	return append(opts, kgo.ConsumeTopics(topic)), nil
}

// check refuses a topic or partition that does not exist, for which the client would wait for ever.
func (f consumeFlags) check(cmd *cobra.Command, bootstrap, topic string) error {
	return admin(cmd, bootstrap, func(ctx context.Context, c *kadm.Client) error {
		t, err := lookupTopic(ctx, c, topic)
		if err != nil {
			return err
		}
		if _, ok := t.Partitions[f.partition]; f.partition >= 0 && !ok {
			return fmt.Errorf("topic %s has no partition %d, only [0, %d)", topic, f.partition, len(t.Partitions))
		}
		return nil
	})
}

// consume prints records until there were enough or ctx ends, and commits what it printed.
func (f consumeFlags) consume(ctx context.Context, client *kgo.Client, w io.Writer) error {
	out := bufio.NewWriter(w)
	for printed := int64(0); f.limit == 0 || printed < f.limit; {
		most := 10_000
		if f.limit > 0 {
			most = int(min(int64(most), f.limit-printed))
		}
		fetches := client.PollRecords(ctx, most)
		if ctx.Err() != nil {
			break
		}
		records := fetches.Records()
		for _, r := range records {
			f.print(out, r)
		}
		if err := out.Flush(); err != nil {
			return err
		}
		printed += int64(len(records))
		client.MarkCommitRecords(records...)
		client.AllowRebalance()
		if err := fetches.Err(); err != nil {
			return oneLine(err)
		}
	}
	return f.commit(ctx, client)
}

// commit commits what was printed, also after an interrupt.
func (f consumeFlags) commit(ctx context.Context, client *kgo.Client) error {
	if f.group == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	if err := client.CommitMarkedOffsets(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("commit offsets of group %s: %w", f.group, err)
	}
	return nil
}

// print writes one record; a missing key or value is written as nothing.
func (f consumeFlags) print(out *bufio.Writer, r *kgo.Record) {
	if f.offsets {
		fmt.Fprintf(out, "%d:%d\t", r.Partition, r.Offset)
	}
	if f.keys {
		_, _ = out.Write(r.Key)
		_ = out.WriteByte('\t')
	}
	_, _ = out.Write(r.Value)
	_ = out.WriteByte('\n')
}
