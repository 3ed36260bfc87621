package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore/bucket"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

const (
	keyedSlot  = 8 << 20  // records of a slot
	keyedBatch = 64 << 10 // and of a batch
)

// keyedFill says what a directory is filled with: records of one partition, the first of which have one key each; the rest
// overwrite every second of those.
type keyedFill struct {
	dir   string
	keys  int
	bytes int64
	value int
}

// figureKeyed cleans a topic of one partition by key with `odradek compact --once` and tells what that took: the process's
// largest resident memory, as the kernel counted it. The slots are written here, as an agent writes them.
func figureKeyed(args []string) error {
	fs := flag.NewFlagSet("keyed", flag.ExitOnError)
	keys := fs.Int("keys", 10_000_000, "distinct keys")
	gib := fs.Float64("gib", 10, "GiB of records, as produced")
	memory := fs.String("memory", "256MiB", "--memory of the compactor")
	dir := fs.String("dir", "", "where the bucket is made, and left; empty: a directory that goes")
	value := fs.Int("value", 660, "bytes of a value; nine tenths of it pack to nothing")
	fs.Parse(args)
	if *dir == "" {
		temp, err := os.MkdirTemp("", "odradek-keyed")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temp)
		*dir = temp
	}
	bin, err := binaryPath()
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(*dir, "control")); err != nil {
		began := time.Now()
		n, size, err := keyedFill{*dir, *keys, int64(*gib * (1 << 30)), *value}.run()
		if err != nil {
			return err
		}
		fmt.Printf("keyed: %d records of %d keys, %.2f GiB, written in %.0f s\n", n, *keys, float64(size)/(1<<30), time.Since(began).Seconds())
	}
	c := exec.Command(bin, "compact", "--once", "--bucket", "file://"+*dir, "--memory", *memory, "--log-level", "debug")
	log, err := os.Create(filepath.Join(os.TempDir(), fmt.Sprintf("odradek-keyed-%d.log", os.Getpid())))
	if err != nil {
		return err
	}
	defer log.Close()
	c.Stdout, c.Stderr = os.Stdout, log
	began := time.Now()
	p, err := start(c)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()
	peak := 0.0
	for tick := time.NewTicker(100 * time.Millisecond); ; {
		select {
		case err := <-done:
			tick.Stop()
			fmt.Printf("keyed: --memory %s: at most %.0f MiB resident, %.0f s, of these %.0f s of CPU; log in %s\n",
				*memory, peak, time.Since(began).Seconds(), (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds(), log.Name())
			return err
		case <-tick.C:
			peak = max(peak, peakMiB(p.cmd.Process.Pid))
		}
	}
}

// peakMiB is the most that a process ever had resident, from /proc.
func peakMiB(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if text, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 64)
			return kib / 1024
		}
	}
	return 0
}

// run makes a cluster of one journal whose slots hold the records, and gives their number and size.
func (k keyedFill) run() (records int, size int64, err error) {
	ctx := context.Background()
	store, _, err := bucket.Open(ctx, "file://"+k.dir)
	if err != nil {
		return 0, 0, err
	}
	journal, id := topic.JournalID{7}, topic.ID{9}
	for n, r := range []control.Record{
		control.Genesis{ClusterID: "keyed", Format: control.FormatLevel},
		control.JournalOpen{ID: journal, K: 4, Weight: 1, Format: control.FormatLevel},
		control.TopicCreate{ID: id, Name: "table", Journals: []topic.JournalID{journal}, Config: topic.Config{
			"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01",
		}},
	} {
		payload, err := control.Encode([]control.Record{r})
		if err != nil {
			return 0, 0, err
		}
		if err := slotlog.Decide(ctx, store, topic.Slot(n), payload); err != nil {
			return 0, 0, err
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	packs := []byte(strings.Repeat("ten bytes ", k.value/10+1))
	now := time.Now().Add(-time.Hour).UnixMilli()
	at := topic.Offset(0)
	for slot := topic.Slot(0); size < k.bytes; slot++ {
		base, raw := at, 0
		var batches [][]byte
		for raw < keyedSlot && size < k.bytes {
			var all []recordbatch.Record
			for n := 0; n < keyedBatch; {
				key := int(at) + len(all)
				if key >= k.keys {
					key = (key - k.keys) * 2 % k.keys
				}
				value := fmt.Appendf(nil, "%d", int64(at)+int64(len(all)))
				for len(value) < k.value/12 {
					value = strconv.AppendUint(value, rng.Uint64(), 16)
				}
				value = append(value, packs[:max(0, k.value-len(value))]...)
				r := recordbatch.Record{Timestamp: now, Key: fmt.Appendf(nil, "key-%d", key), Value: value}
				all, n = append(all, r), n+len(r.Key)+len(value)
			}
			b := recordbatch.Build(recordbatch.Draft{Base: at, Records: all})
			batches, at, records = append(batches, b), at+topic.Offset(len(all)), records+len(all)
			raw, size = raw+len(b), size+int64(len(b))
		}
		f := segment.Footer{Journal: journal, Slot: slot, CreatedMs: now}
		o, err := segment.Build(f, []segment.Run{{Partition: topic.Partition{Topic: id}, Base: base, Next: at, Batches: batches}}, segment.S2)
		if err != nil {
			return 0, 0, err
		}
		if err := store.Create(ctx, slotlog.JournalKey(journal, slot), slotlog.Freeze(slotlog.Data, o.Parts...).Body); err != nil {
			return 0, 0, err
		}
	}
	return records, size, nil
}
