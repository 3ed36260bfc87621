//go:build linux

package crash

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// place is where a record is.
type place struct {
	topic     string
	partition int32
	offset    int64
}

// ledger is what producers were told. Safe for concurrent use.
type ledger struct {
	mu     sync.Mutex // guards all below
	acked  map[place]*kgo.Record
	sent   map[string]*kgo.Record // by key, which no other record has
	failed []error                // what producers were told instead of an ack
}

func newLedger() *ledger {
	return &ledger{acked: make(map[place]*kgo.Record), sent: make(map[string]*kgo.Record)}
}

// send notes a record that is about to be produced.
func (l *ledger) send(r *kgo.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[string(r.Key)] = r
}

// promise notes the end of a record: it is a producer's callback.
func (l *ledger) promise(r *kgo.Record, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed = append(l.failed, fmt.Errorf("%s: %w", r.Key, err))
		return
	}
	l.acked[place{r.Topic, r.Partition, r.Offset}] = r
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

func (l *ledger) failures() []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]error(nil), l.failed...)
}

// complaints collects what is wrong, and does not print all of ten thousand.
type complaints struct {
	lines []string
	more  int
}

func (c *complaints) addf(format string, args ...any) {
	if len(c.lines) == 20 {
		c.more++
		return
	}
	c.lines = append(c.lines, fmt.Sprintf(format, args...))
}

func (c *complaints) String() string {
	s := strings.Join(c.lines, "\n")
	if c.more > 0 {
		s += fmt.Sprintf("\nand %d more", c.more)
	}
	return s
}

// compare says what is wrong with a log, given what was acked: every acked record is there at its offset as it was
// sent; nothing is there twice or was never sent; offsets have no gap; what one producer sent to one partition is in
// its order.
func (l *ledger) compare(log map[place]*kgo.Record) *complaints {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := new(complaints)
	for at, want := range l.acked {
		got := log[at]
		if got == nil {
			c.addf("acked record %s is not at %v", want.Key, at)
		} else if diff := difference(got, want); diff != "" {
			c.addf("at %v, acked as %s: %s", at, want.Key, diff)
		}
	}
	where := make(map[string]place)
	for at, got := range log {
		key := string(got.Key)
		if at.offset > 0 && log[place{at.topic, at.partition, at.offset - 1}] == nil {
			c.addf("nothing at the offset before %v", at)
		}
		if sent := l.sent[key]; sent == nil {
			c.addf("record %s at %v was never sent", key, at)
		} else if diff := difference(got, sent); diff != "" {
			c.addf("record %s at %v: %s", key, at, diff)
		}
		if other, twice := where[key]; twice {
			c.addf("record %s is at %v and at %v", key, at, other)
		}
		where[key] = at
	}
	ordered(log, c)
	return c
}

// ordered checks that the numbers of each producer only grow within a partition.
func ordered(log map[place]*kgo.Record, c *complaints) {
	ends := make(map[place]int64) // of partitions
	for at := range log {
		p := place{topic: at.topic, partition: at.partition}
		ends[p] = max(ends[p], at.offset+1)
	}
	for p, end := range ends {
		newest := make(map[int]int)
		for o := range end {
			r := log[place{p.topic, p.partition, o}]
			if r == nil {
				continue
			}
			var producer, n int
			if _, err := fmt.Sscanf(string(r.Key), "p%d-%d", &producer, &n); err != nil {
				c.addf("key %q at %d of %v: %v", r.Key, o, p, err)
				continue
			}
			if last, ok := newest[producer]; ok && n <= last {
				c.addf("offset %d of %s/%d: record %d of producer %d behind its %d", o, p.topic, p.partition, n, producer, last)
			}
			newest[producer] = n
		}
	}
}

// difference says how two records differ, but for their place.
func difference(got, want *kgo.Record) string {
	switch {
	case !bytes.Equal(got.Key, want.Key):
		return fmt.Sprintf("key %q, want %q", got.Key, want.Key)
	case !bytes.Equal(got.Value, want.Value):
		return fmt.Sprintf("value of %d bytes, want another one of %d", len(got.Value), len(want.Value))
	case got.Timestamp.UnixMilli() != want.Timestamp.UnixMilli():
		return fmt.Sprintf("timestamp %v, want %v", got.Timestamp, want.Timestamp)
	case len(got.Headers) != len(want.Headers):
		return fmt.Sprintf("%d headers, want %d", len(got.Headers), len(want.Headers))
	}
	for i, h := range got.Headers {
		if h.Key != want.Headers[i].Key || !bytes.Equal(h.Value, want.Headers[i].Value) {
			return fmt.Sprintf("header %d is %s=%q, want %s=%q", i, h.Key, h.Value, want.Headers[i].Key, want.Headers[i].Value)
		}
	}
	return ""
}

// check reads the topics of a ledger from an agent and fails the test unless all is well. It returns the log.
func (l *ledger) check(t *testing.T, addr string) map[place]*kgo.Record {
	t.Helper()
	log := readTo(t, addr, l.ends(), l.topics()...)
	if c := l.compare(log); len(c.lines) > 0 {
		t.Fatalf("%d records acked, %d in the log:\n%v", l.count(), len(log), c)
	}
	t.Logf("%d records sent, %d acked, %d in the log", len(l.sent), l.count(), len(log))
	return log
}

// ends gives the offset behind the last acked record of each partition.
func (l *ledger) ends() map[place]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	ends := make(map[place]int64)
	for at := range l.acked {
		p := place{topic: at.topic, partition: at.partition}
		ends[p] = max(ends[p], at.offset+1)
	}
	return ends
}

func (l *ledger) topics() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := make(map[string]bool)
	var out []string
	for _, r := range l.sent {
		if !seen[r.Topic] {
			seen[r.Topic] = true
			out = append(out, r.Topic)
		}
	}
	return out
}
