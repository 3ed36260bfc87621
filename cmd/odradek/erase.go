package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/odradek/odradek/agent/settings"
	"github.com/odradek/odradek/compaction"
	"github.com/odradek/odradek/control"
)

// eraseFlags are what a command line says.
type eraseFlags struct {
	topic          string
	key, keyFile   string
	offsets        string
	partition      int32
	dryRun         bool
	grace, timeout time.Duration
	patience       time.Duration
}

func eraseCommand(w world) *cobra.Command {
	var f eraseFlags
	cmd := &cobra.Command{
		Use: "erase", Short: "Erase records for good, and write a receipt",
		Long: "Erase all records of a topic that have a key, or those of some offsets, out of all that the bucket holds: what holds\n" +
			"them is written anew without them, and deleted once the grace is over. Agents go on meanwhile. The receipt is printed\n" +
			"as JSON and kept in the bucket under " + compaction.ErasedPrefix + "; it also says what cannot be reached from here. A key is\n" +
			"told by its SHA-256 only. It may take hours, most of which is the grace: run the same command again to go on after an\n" +
			"interruption. In a pool give --redis as the agents have it.",
		Example: "  odradek erase --topic orders --key alice@example.com --redis redis://10.0.0.5:6379\n" +
			"  odradek erase --topic orders --partition 3 --offsets 1200-1207 --dry-run",
		Args: names(),
	}
	p := pool{open: bucketFlag(cmd, w), redis: redisFlags(cmd, w)}
	p.bucket = func() (string, error) { return bucketURL(cmd.PersistentFlags().Lookup("bucket").Value.String(), w) }
	flags := cmd.Flags()
	flags.StringVar(&f.topic, "topic", "", "`NAME` of the topic")
	flags.StringVar(&f.key, "key", "", "erase the records with this `KEY`; others may see it in the list of processes")
	flags.StringVar(&f.keyFile, "key-file", "", "erase the records with the key that is in this `FILE`, every byte of it; - for standard input")
	flags.StringVar(&f.offsets, "offsets", "", "erase the records of these offsets of a partition: `FIRST-LAST`, both included")
	flags.Int32Var(&f.partition, "partition", -1, "only of this partition, a `NUMBER`; needed with --offsets")
	flags.BoolVar(&f.dryRun, "dry-run", false, "list the offsets and stop: nothing is written")
	flags.DurationVar(&f.grace, "gc-grace", settings.Defaults().GCGrace, "an object is deleted when nothing has needed it for so long, a `DURATION`")
	flags.DurationVar(&f.timeout, "timeout", 0, "give up after this `DURATION`; 0: never")
	flags.DurationVar(&f.patience, "patience", 20*time.Second, "verify a checkpoint here if no agent did within this `DURATION`")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		what, receipt, err := f.asked(cmd, w)
		if err != nil {
			return err
		}
		if f.timeout > 0 {
			ctx, cancel := context.WithTimeoutCause(cmd.Context(), f.timeout, fmt.Errorf("not done after %v; the same command goes on", f.timeout))
			defer cancel()
			cmd.SetContext(ctx)
		}
		return p.erase(cmd, f, what, receipt)
	}
	return cmd
}

// asked reads what is to be erased.
func (f *eraseFlags) asked(cmd *cobra.Command, w world) (what compaction.Erasing, r compaction.Receipt, err error) {
	given := 0
	for _, name := range []string{"key", "key-file", "offsets"} {
		if cmd.Flags().Changed(name) {
			given++
		}
	}
	what.Partition = f.partition
	switch {
	case f.topic == "":
		return what, r, usagef("--topic: name the topic")
	case given != 1:
		return what, r, usagef("give one of --key, --key-file and --offsets")
	case cmd.Flags().Changed("partition") && f.partition < 0:
		return what, r, usagef("--partition: %d is no partition", f.partition)
	case f.grace < time.Second:
		return what, r, usagef("--gc-grace: %v is less than a second", f.grace)
	case f.timeout < 0 || f.patience < 0:
		return what, r, usagef("--timeout, --patience: no time is less than 0")
	}
	if cmd.Flags().Changed("offsets") {
		if f.partition < 0 {
			return what, r, usagef("--offsets: say of which --partition")
		}
		span, err := compaction.ParseSpan(f.offsets)
		if err != nil {
			return what, r, usagef("--offsets: %w", err)
		}
		r.Asked = fmt.Sprintf("%d:%d-%d", f.partition, span.First, span.Last)
		what.Offsets = []compaction.Span{{From: span.First, To: span.Last + 1}}
		return what, r, nil
	}
	what.Key = []byte(f.key)
	if f.keyFile != "" {
		if what.Key, err = readKey(f.keyFile, w); err != nil {
			return what, r, fmt.Errorf("--key-file: %w", err)
		}
	}
	if r.KeySHA256 = compaction.HashKey(what.Key); f.partition >= 0 {
		r.Asked = fmt.Sprintf("%d:all", f.partition)
	}
	return what, r, nil
}

// mostKey is the most that a key has; no record is larger.
const mostKey = 64 << 20

func readKey(file string, w world) ([]byte, error) {
	in := w.in
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer opened.Close()
		in = opened
	}
	key, err := io.ReadAll(io.LimitReader(in, mostKey+1))
	if err == nil && len(key) > mostKey {
		err = fmt.Errorf("%s has more than %d bytes", file, mostKey)
	}
	return append([]byte{}, key...), err
}

// topicToErase finds the topic; what is internal is the cluster's own.
func topicToErase(s *control.State, name string, partition int32) (*control.Topic, error) {
	t, ok := s.TopicByName(name)
	switch {
	case !ok:
		return nil, fmt.Errorf("no topic %s", name)
	case t.Internal:
		return nil, fmt.Errorf("topic %s is internal: groups would lose what they committed", name)
	case partition >= t.Partitions():
		return nil, fmt.Errorf("topic %s has the partitions 0 to %d, not %d", name, t.Partitions()-1, partition)
	}
	return t, nil
}

// erase finds the records, and unless it is a dry run takes them out of everything and writes the receipt.
func (p pool) erase(cmd *cobra.Command, f eraseFlags, what compaction.Erasing, r compaction.Receipt) error {
	ctx := cmd.Context()
	follow, done, err := p.follow(ctx, f.dryRun)
	if err != nil {
		return err
	}
	defer done()
	t, err := topicToErase(follow.State(), f.topic, f.partition)
	if err != nil {
		return err
	}
	what.Topic = t.ID
	tell := func(format string, args ...any) {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s %s\n", time.Now().UTC().Format(time.TimeOnly), fmt.Sprintf(format, args...))
	}
	e := follow.eraser(f, tell)
	tell("looking for records of %s", f.topic)
	parts, err := e.Find(ctx, what)
	if err != nil {
		return cause(ctx, fmt.Errorf("find records of %s: %w", f.topic, oneLine(err)))
	}
	if f.dryRun {
		return listFound(cmd.OutOrStdout(), tell, parts)
	}
	r.ClusterID, r.Topic, r.TopicID, r.Begun = follow.State().ClusterID(), t.Name, t.ID.String(), now()
	r.Grace = f.grace.String()
	x, resumed, others, err := compaction.Resume(ctx, follow.store, follow.State().Next()-1, &r)
	if err != nil {
		return cause(ctx, oneLine(err))
	}
	if others > 0 {
		tell("%s of something else did not come to an end: give its command again", count(int64(others), "erasure"))
	}
	if resumed {
		tell("goes on with what was begun %s", r.Begun.Format(time.RFC3339))
		r.Give(e, t.ID)
	}
	e.Add(parts...)
	if r.Take(e); r.Records == 0 {
		tell("no such record is left, nothing is done")
		return nil
	}
	tell("%s of %s", count(r.Records, "record"), count(int64(len(r.Partitions)), "partition"))
	if err := x.Note(ctx, r); err != nil {
		return cause(ctx, oneLine(err))
	}
	err = e.Run(ctx, func(ctx context.Context) error {
		slots, objects := e.Left()
		tell("%s and %s hold them", count(int64(slots), "slot"), count(int64(objects), "compacted object"))
		r.Take(e)
		return x.Note(ctx, r)
	})
	if err != nil {
		slots, objects := e.Left()
		return cause(ctx, fmt.Errorf("erase records of %s: %s and %s still hold them: %w", f.topic, count(int64(slots), "slot"),
			count(int64(objects), "compacted object"), oneLine(err)))
	}
	r.Take(e)
	ended := now()
	r.Ended, r.NotReached = &ended, follow.notReached(ctx, e)
	key, err := x.Finish(ctx, r)
	if err != nil {
		return cause(ctx, oneLine(err))
	}
	tell("done, the receipt is %s", key)
	return printJSON(cmd.OutOrStdout(), r)
}

func now() time.Time { return time.Now().UTC().Truncate(time.Second) }

// cause says why a command ended that was ended.
func cause(ctx context.Context, err error) error {
	if why := context.Cause(ctx); why != nil && !errors.Is(why, context.Canceled) {
		return why
	}
	return err
}

// listFound prints the offsets that would be erased.
func listFound(out io.Writer, tell func(string, ...any), parts []compaction.ErasePart) error {
	records := int64(0)
	err := table(out, "PARTITION\tFIRST\tLAST", func(row func(...any)) {
		for _, p := range parts {
			records += p.Records
			for _, s := range p.Offsets {
				row(p.Partition.Index, s.From, s.To-1)
			}
		}
	})
	tell("%s would be erased of %s", count(records, "record"), count(int64(len(parts)), "partition"))
	return err
}
