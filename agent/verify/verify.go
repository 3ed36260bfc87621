package verify

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/semaphore"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/topic"
)

// Defaults of Options.
const (
	DefaultReads       = 16
	DefaultMemoryBytes = 256 << 20
	DefaultMaxFindings = 1000
)

// Options tune Run. Zero values stand for the defaults.
type Options struct {
	Fast        bool  // read footers only: checksums of blocks and batches are passed over
	Reads       int   // objects asked for at once
	MemoryBytes int64 // objects held at once, at least one
	MaxFindings int   // findings, notes and garbage listed; what is beyond is counted
	Index       Index // the copy of the index to prove against the bucket; nil: none
}

// walk is one Run. The goroutines that read use store, opt, listed and memory only; all else belongs to Run's.
type walk struct {
	store  objectstore.Store
	opt    Options
	memory *semaphore.Weighted // bytes at once
	report Report

	listed listing
	state  *control.State // as it was read first: what must be there
	now    *control.State // as it was read last: what may be there by now
	whole  bool           // the control log could be read to its end

	parts    map[topic.Partition]*partition
	pending  map[*partition]struct{} // with runs whose producers are not joined yet
	journals map[topic.JournalID]*journal
	releases map[released]topic.JournalID // RELEASEs that count, in which journal
	moves    []moved                      // ASSIGNs that hold
	index    *indexWalk                   // nil: nothing to prove

	standing map[topic.Slot]*control.State // after the numbers at which checkpoints stand that were listed
	checks   []*checkpointCheck
	stands   map[topic.Partition]checkpoint.Partition // in the newest verified checkpoint that can be read

	moments    map[control.PinID]*control.State // of the snapshots and forks there are
	pins       []pinned
	pinnedKeys map[string]bool // objects of checkpoints that are kept for them

	compaction compactionWalk
	accounts   map[string]*Account
}

// Run walks the bucket and reports what is in it. The error is the store's or ctx's; what is wrong with the bucket's
// contents is in the Report, never an error. It writes nothing.
func Run(ctx context.Context, store objectstore.Store, opt Options) (Report, error) {
	opt.Reads = cmp.Or(opt.Reads, DefaultReads)
	opt.MemoryBytes = cmp.Or(opt.MemoryBytes, DefaultMemoryBytes)
	opt.MaxFindings = cmp.Or(opt.MaxFindings, DefaultMaxFindings)
	w := &walk{
		store: store, opt: opt,
		memory: semaphore.NewWeighted(opt.MemoryBytes),
		report: Report{Fast: opt.Fast, Totals: Totals{Ratio: 1}},
		state:  control.New(), now: control.New(),
		parts: make(map[topic.Partition]*partition), pending: make(map[*partition]struct{}),
		journals: make(map[topic.JournalID]*journal), releases: make(map[released]topic.JournalID),
		standing: make(map[topic.Slot]*control.State), stands: make(map[topic.Partition]checkpoint.Partition),
		compaction: compactionWalk{
			swapped: make(map[topic.Object]struct{}), byKey: make(map[topic.ID]struct{}), replaced: make(map[topic.Partition][]replaced),
		},
		accounts: make(map[string]*Account), moments: make(map[control.PinID]*control.State), pinnedKeys: make(map[string]bool),
	}
	if err := w.run(ctx); err != nil {
		return Report{}, err
	}
	return w.report, nil
}

// run lists before it reads: what is listed was there before anything was read, so that an agent that goes on meanwhile
// cannot make a hole look old. The index comes before either: whatever it holds must be there then.
func (w *walk) run(ctx context.Context) error {
	if err := w.readIndex(ctx); err != nil {
		return err
	}
	if err := w.list(ctx); err != nil {
		return err
	}
	if err := w.readControl(ctx); err != nil {
		return err
	}
	w.checkIdentity()
	w.beginCheckpoints()
	w.beginPins()
	for _, j := range inOrder(w.state) {
		if err := w.walkJournal(ctx, j); err != nil {
			return fmt.Errorf("journal %s: %w", j.ID, err)
		}
		w.joinProducers(false)
	}
	w.joinProducers(true)
	w.unknownJournals()
	w.checkMoves()
	if err := w.walkCompacted(ctx); err != nil {
		return fmt.Errorf("compacted objects: %w", err)
	}
	if err := w.walkPins(ctx); err != nil {
		return fmt.Errorf("snapshots and forks: %w", err)
	}
	if err := w.endCheckpoints(ctx); err != nil {
		return fmt.Errorf("checkpoints: %w", err)
	}
	w.checkEpochEnds()
	w.checkTrimmed()
	w.summarize()
	w.closeAccounts()
	return w.endIndex(ctx)
}

// inOrder lists the journals as they were opened.
func inOrder(s *control.State) []*control.Journal {
	return slices.SortedFunc(s.Journals(), func(a, b *control.Journal) int {
		return cmp.Or(cmp.Compare(a.Opened, b.Opened), slices.Compare(a.ID[:], b.ID[:]))
	})
}

// summarize fills in what is told per topic and in total.
func (w *walk) summarize() {
	s := w.state
	r := &w.report
	r.ClusterID = s.ClusterID()
	r.Control.Format = s.Feature(control.FeatureFormat)
	r.Control.NextNodeID, r.Control.NextProducerID = s.NextNodeID(), s.NextProducerID()
	for _, e := range s.Eras() {
		r.Eras = append(r.Eras, EraReport{e.Number, e.RunID, e.ReplicationID})
	}
	for t := range s.Topics() {
		out := TopicReport{Name: t.Name, ID: t.ID.String(), Internal: t.Internal}
		for i := range t.Partitions() {
			out.Partitions = append(out.Partitions, w.partitionReport(topic.Partition{Topic: t.ID, Index: i}, t.Owner(i)))
		}
		r.Topics = append(r.Topics, out)
	}
	if r.Totals.Raw > 0 {
		r.Totals.Ratio = float64(r.Totals.Stored) / float64(r.Totals.Raw)
	}
}

func (w *walk) partitionReport(p topic.Partition, owner control.Assignment) PartitionReport {
	c, stands := w.state.Compaction(p), w.stands[p]
	out := PartitionReport{
		Index: p.Index, Epoch: owner.Epoch, Journal: owner.Journal.String(), Start: max(c.Start, stands.Start), End: max(owner.Base, c.End, stands.End),
		Compacted: c.End, Runs: len(c.Runs),
	}
	for _, r := range c.Runs {
		out.Records += int64(r.Next - r.Base)
		out.Stored += int64(r.Length)
		out.Raw += int64(r.RawLength)
	}
	if s := w.parts[p]; s != nil {
		out.Start, out.End = max(out.Start, s.start), max(out.End, s.end)
		out.Records += s.records
		out.Stored += s.stored
		out.Raw += s.raw
		out.Producers = max(s.producers.Len(), s.known)
	}
	return out
}

// oneLine puts what may be several lines onto one.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
