package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Limits of produce.
const (
	maxLine        = 16 << 20
	maxBuffered    = 64 << 20
	standardBatch  = 1_000_012        // what brokers take unless they are told otherwise: max.message.bytes is a little above
	deliverTimeout = 60 * time.Second // for one record, tries included
	flushTimeout   = 10 * time.Second // for what was read when an interrupt came
)

// produceFlags are the flags of odradek produce.
type produceFlags struct {
	separator   string
	partition   int32
	acks        string
	compression string
	maxBatch    int32
}

func produceCommand(w world) *cobra.Command {
	var flags produceFlags
	cmd := &cobra.Command{
		Use: "produce TOPIC", Short: "Send lines from standard input, one record a line", Args: names("TOPIC"),
	}
	bootstrap := bootstrapFlag(cmd, w)
	cmd.Flags().StringVar(&flags.separator, "key-separator", "", "text that ends the key on each line; without it records have no key")
	cmd.Flags().Int32Var(&flags.partition, "partition", -1, "partition to send to; -1 chooses by key")
	cmd.Flags().StringVar(&flags.acks, "acks", "all", "all, 1 or 0")
	cmd.Flags().StringVar(&flags.compression, "compression", "none", "none, gzip, snappy, lz4 or zstd")
	cmd.Flags().Int32Var(&flags.maxBatch, "max-batch", standardBatch, "most bytes of a batch; a longer line needs more, and a topic whose max.message.bytes allows it")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opts, err := flags.options()
		if err != nil {
			return err
		}
		client, err := connect(cmd.Context(), *bootstrap, cmd.ErrOrStderr(), opts...)
		if err != nil {
			return err
		}
		defer client.Close()
		p := producer{client: client, topic: args[0], flags: flags}
		err = p.send(cmd.Context(), cmd.InOrStdin())
		if _, printErr := fmt.Fprintln(cmd.OutOrStdout(), p.summary()); err == nil {
			err = printErr
		}
		return err
	}
	return cmd
}

var (
	acksByName        = map[string]kgo.Acks{"all": kgo.AllISRAcks(), "1": kgo.LeaderAck(), "0": kgo.NoAck()}
	compressionByName = map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
)

// options checks the flags and gives the client's options; all problems are reported.
func (f produceFlags) options() ([]kgo.Opt, error) {
	var wrong []string
	acks, ok := acksByName[f.acks]
	if !ok {
		wrong = append(wrong, "--acks: "+f.acks+" is none of all, 1, 0")
	}
	codec, ok := compressionByName[f.compression]
	if !ok {
		wrong = append(wrong, "--compression: "+f.compression+" is none of none, gzip, snappy, lz4, zstd")
	}
	if f.partition < -1 {
		wrong = append(wrong, fmt.Sprintf("--partition: %d is no partition", f.partition))
	}
	if f.maxBatch < 1024 || f.maxBatch > maxLine+4096 {
		wrong = append(wrong, fmt.Sprintf("--max-batch: %d is not between 1024 and %d", f.maxBatch, maxLine+4096))
	}
	if len(wrong) > 0 {
		return nil, usagef("%s", strings.Join(wrong, "\n"))
	}
	opts := []kgo.Opt{
		kgo.AllowAutoTopicCreation(),
		kgo.RequiredAcks(acks),
		kgo.ProducerBatchCompression(codec),
		kgo.ProducerBatchMaxBytes(f.maxBatch),
		kgo.MaxBufferedBytes(maxBuffered),
		kgo.RecordDeliveryTimeout(deliverTimeout),
	}
	if f.acks != "all" {
		opts = append(opts, kgo.DisableIdempotentWrite())
	}
	if f.partition >= 0 {
		opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	return opts, nil
}

// producer sends lines and counts what became of them.
type producer struct {
	client *kgo.Client
	topic  string
	flags  produceFlags

	mu     sync.Mutex
	acked  map[int32]*span // guarded by mu; by partition
	failed int64           // guarded by mu
	first  error           // guarded by mu; the first failure
}

// span is what was acked in a partition: count records within [base, next).
type span struct{ base, next, count int64 }

// send reads lines until the input ends or ctx does, and waits until all that were read are acked or have failed.
func (p *producer) send(ctx context.Context, in io.Reader) error {
	p.acked = map[int32]*span{}
	lines := make(chan []byte)
	ended := make(chan error, 1)
	go func() { ended <- readLines(ctx, in, lines) }() // a read of a terminal cannot be interrupted: it ends with the process
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	err := p.sendAll(ctx, sending, lines, ended)
	if ctx.Err() != nil {
		stop := time.AfterFunc(flushTimeout, cancel)
		defer stop.Stop()
	}
	if flushErr := p.client.Flush(sending); flushErr != nil && err == nil {
		err = flushErr
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed > 0 {
		return fmt.Errorf("%s not acknowledged: %w", count(p.failed, "record"), oneLine(p.first))
	}
	return err
}

// sendAll hands lines to the client until there are no more, one is wrong, one failed or ctx ended.
func (p *producer) sendAll(ctx, sending context.Context, lines <-chan []byte, ended <-chan error) error {
	for number := int64(1); ; number++ {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			return err
		case line := <-lines:
			record, err := p.record(line)
			if err != nil {
				return fmt.Errorf("line %d: %w", number, err)
			}
			p.client.Produce(sending, record, p.done)
		}
		if p.broken() {
			return nil
		}
	}
}

// record makes a record of a line.
func (p *producer) record(line []byte) (*kgo.Record, error) {
	r := &kgo.Record{Topic: p.topic, Partition: max(p.flags.partition, 0), Value: line}
	if p.flags.separator == "" {
		return r, nil
	}
	key, value, ok := bytes.Cut(line, []byte(p.flags.separator))
	if !ok {
		return nil, fmt.Errorf("no key separator %q", p.flags.separator)
	}
	r.Key, r.Value = key, value
	return r, nil
}

// done counts one record.
func (p *producer) done(r *kgo.Record, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.failed++
		if p.first == nil {
			p.first = err
		}
		return
	}
	s := p.acked[r.Partition]
	if s == nil {
		s = &span{base: r.Offset, next: r.Offset}
		p.acked[r.Partition] = s
	}
	s.base, s.next, s.count = min(s.base, r.Offset), max(s.next, r.Offset+1), s.count+1
}

func (p *producer) broken() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed > 0
}

// summary tells how many records went where: `produced 3 records to t: partition 0 [5, 8)`. Without acks there are
// no offsets to tell.
func (p *producer) summary() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	total := int64(0)
	var parts []string
	for _, partition := range slices.Sorted(maps.Keys(p.acked)) {
		s := p.acked[partition]
		total += s.count
		where := fmt.Sprintf("partition %d [%d, %d)", partition, s.base, s.next)
		if s.count != s.next-s.base {
			where = fmt.Sprintf("partition %d %s within [%d, %d)", partition, count(s.count, "record"), s.base, s.next)
		}
		parts = append(parts, where)
	}
	text := fmt.Sprintf("produced %s to %s", count(total, "record"), p.topic)
	if len(parts) == 0 || p.flags.acks == "0" {
		return text
	}
	return text + ": " + strings.Join(parts, ", ")
}

var errLongLine = fmt.Errorf("a line is longer than %d MiB", maxLine>>20)

// readLines sends the lines of in, without their ends, until in or ctx ends. The last line needs no end.
func readLines(ctx context.Context, in io.Reader, lines chan<- []byte) error {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(make([]byte, 0, 64<<10), maxLine)
	for scanner.Scan() {
		select {
		case lines <- bytes.Clone(scanner.Bytes()):
		case <-ctx.Done():
			return nil
		}
	}
	if errors.Is(scanner.Err(), bufio.ErrTooLong) {
		return errLongLine
	}
	return scanner.Err()
}
