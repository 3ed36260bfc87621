package agent

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/agent/verify"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// settle lets every client bring to an end what it began.
func (p *simPool) settle(clients []simClient) {
	ctx, cancel := context.WithTimeout(context.Background(), simSettle)
	defer cancel()
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			if !c.settle(ctx) {
				p.wrong("client %d (%T) gets no end of what it began", i, c)
			}
		})
	}
	wg.Wait()
	p.note("%d records acked", p.book.records())
}

// check waits until every living agent serves every record, and compares everything with everything.
func (p *simPool) check() {
	ends, ok := p.converge()
	if !ok {
		return
	}
	var wg sync.WaitGroup
	for _, x := range p.serving() {
		for i := range int32(simPartitions) {
			wg.Go(func() { p.readAll(x, i, ends[i]) })
		}
	}
	wg.Wait()
	p.book.judge(ends)
	p.offline(ends)
	if eras := p.counts()["eras"]; eras > 4+3*len(p.plan) { // R1: an index and a log that disagree must not fill it
		p.wrong("%d eras were named, with %d faults", eras, len(p.plan))
	}
	p.sameIndex()
	p.newcomer(ends)
	if s, _, err := p.controlLog(); err == nil {
		p.needless(s)
		log, err := p.wholeLog(s)
		if err != nil {
			p.wrong("the log cannot be read: %v", err)
			return
		}
		p.checkpoints(s, log)
		p.sameMemory(s, log)
	}
}

// converge waits until all living agents serve and know the same ends, those that the owners know.
func (p *simPool) converge() (ends [simPartitions]topic.Offset, ok bool) {
	why := ""
	for deadline := time.Now().Add(simSettle); time.Now().Before(deadline); time.Sleep(250 * time.Millisecond) {
		if ends, why = p.agreed(); why == "" {
			p.note("%d agents agree on the ends %v", len(p.living()), ends)
			return ends, true
		}
	}
	p.wrong("the agents do not come to agree: %s", why)
	return ends, false
}

// agreed gives the ends that all living agents know. They know the same log starts, too, which are the book's from then on.
func (p *simPool) agreed() (ends [simPartitions]topic.Offset, why string) {
	starts := ends
	for i := range ends {
		ends[i] = -1
	}
	for _, x := range p.living() {
		s := x.session()
		if s == nil {
			return ends, x.name + " does not serve"
		}
		if s.cluster.Era() == 0 {
			return ends, x.name + " keeps no index"
		}
		if err := p.flush(s); err != nil { // what nobody waits for any more, such as a batch with acks=1, may still be on its way
			return ends, fmt.Sprintf("%s holds what does not count: %v", x.name, err)
		}
		for i := range ends {
			start, end := s.fetch.Bounds(p.partition(int32(i)))
			if ends[i] >= 0 && (starts[i] != start || ends[i] != end) {
				return ends, fmt.Sprintf("%s sees partition %d as [%d,%d), another one as [%d,%d)", x.name, i, start, end, starts[i], ends[i])
			}
			starts[i], ends[i] = start, end
		}
	}
	for i := range ends {
		if known := p.book.end(int32(i)); ends[i] < known {
			return ends, fmt.Sprintf("partition %d ends at %d, it was known to reach %d", i, ends[i], known)
		}
		if least, most := p.book.starts(int32(i)); starts[i] < least || starts[i] > most {
			return ends, fmt.Sprintf("partition %d begins at %d, it was known to begin at %d, and %d is the highest that was asked for", i, starts[i], least, most)
		}
	}
	p.book.mu.Lock()
	defer p.book.mu.Unlock()
	p.book.least = starts
	return ends, ""
}

func (p *simPool) flush(s *session) error {
	ctx, cancel := context.WithTimeout(context.Background(), simTimeout)
	defer cancel()
	return s.ingest.Flush(ctx)
}

// readAll reads a partition from an agent from its log start to its end. The agent serves all the time, unless the index copy
// went back without a sign: then it may learn of a TRIM of slots that it was never shown before it learns of that, and begins
// anew.
func (p *simPool) readAll(x *simProcess, i int32, end topic.Offset) {
	ctx, cancel := context.WithTimeout(context.Background(), simSettle)
	defer cancel()
	next, _ := p.book.starts(i)
	for next < end {
		s := x.session()
		if s == nil && p.book.wentBackUnseen() && ctx.Err() == nil {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		if s == nil {
			p.wrong("%s serves no longer", x.name)
			return
		}
		r := (&apiReader{s}).Read(ctx, api.ReadRequest{
			MaxBytes: 1 << 20, Rack: x.on.zone, Parts: []api.ReadPart{{Partition: p.partition(i), Offset: next, MaxBytes: 1 << 20}},
		})[0]
		if r.Err == nil && len(r.Records) == 0 {
			r.Err = errors.New("no records")
		}
		if r.Err != nil {
			if ctx.Err() == nil {
				time.Sleep(100 * time.Millisecond)
				continue
			}
			p.wrong("%s does not serve partition %d at %d of %d: %v", x.name, i, next, end, r.Err)
			return
		}
		for _, row := range r.Records {
			next = p.book.read(x, i, row)
		}
	}
}

// judge compares what was told with what is there: nothing acked is lost, nothing is there twice, a producer's records
// are in its order.
func (b *simBook) judge(ends [simPartitions]topic.Offset) {
	b.mu.Lock()
	defer b.mu.Unlock()
	times := make(map[string]int)
	for _, at := range slices.SortedFunc(maps.Keys(b.seen), bySpot) {
		times[b.seen[at]]++
		if at.offset >= ends[at.partition] {
			b.p.wrong("%v was read, the log ends at %d", at, ends[at.partition])
		}
	}
	for i, end := range ends {
		for o := b.least[i]; o < end; o++ {
			if _, ok := b.seen[spot{int32(i), o}]; !ok {
				b.p.wrong("nobody gives %d of partition %d, which ends at %d", o, i, end)
			}
		}
		if b.highest[i] > end {
			b.p.wrong("high watermark %d of partition %d was shown, it ends at %d", b.highest[i], i, end)
		}
	}
	for _, at := range slices.SortedFunc(maps.Keys(b.all), bySpot) {
		v := b.all[at]
		if b.deleted(at) && times[v] == 0 {
			continue // nobody had read it
		}
		if b.seen[at] != v || times[v] != 1 {
			b.p.wrong("%v was acked as %.16q and is %.16q, there %d times", at, v, b.seen[at], times[v])
		}
	}
	for _, at := range slices.SortedFunc(maps.Keys(b.one), bySpot) {
		v := b.one[at]
		if b.seen[at] != v && !b.deleted(at) {
			b.lost++
		}
		if times[v] > 1 {
			b.p.wrong("%.16q, sent once with acks=1, is there %d times", v, times[v])
		}
	}
	if b.lost > 0 && b.p.counts()["takeovers"] == 0 {
		b.p.wrong("%d records acked with acks=1 are lost, and no journal was taken over", b.lost)
	}
	places := make(map[string]spot, len(b.seen))
	for at, v := range b.seen {
		places[v] = at
	}
	for at, v := range b.all {
		if _, ok := places[v]; !ok && b.deleted(at) {
			places[v] = at
		}
	}
	for _, s := range b.made {
		b.inOrder(s, places, times)
	}
}

func bySpot(a, b spot) int {
	return cmp.Or(cmp.Compare(a.partition, b.partition), cmp.Compare(a.offset, b.offset))
}

// inOrder checks that the log has a producer's records in its order; an idempotent one's all of them, once.
func (b *simBook) inOrder(s *simSender, places map[string]spot, times map[string]int) {
	last, missing := topic.Offset(-1), 0
	for _, v := range s.values {
		at, ok := places[v]
		if !ok || at.partition != s.partition {
			missing++
			continue
		}
		o := at.offset
		if o < last {
			b.p.wrong("record %.16q of producer %d is at %d, one before it at %d", v, s.id, o, last)
		}
		last = o
		if times[v] > 1 {
			b.p.wrong("record %.16q of producer %d is there %d times", v, s.id, times[v])
		}
	}
	if s.idempotent && missing > 0 {
		b.p.wrong("%d of %d records of producer %d are missing", missing, len(s.values), s.id)
	}
}

// offline walks the bucket as `odradek verify` does.
func (p *simPool) offline(ends [simPartitions]topic.Offset) {
	report, err := verify.Run(context.Background(), p.bucket, verify.Options{})
	if err != nil {
		p.wrong("verify: %v", err)
		return
	}
	for _, f := range report.Findings {
		p.wrong("verify: %+v", f)
	}
	for _, t := range report.Topics {
		for _, part := range t.Partitions {
			if t.ID == p.topic.String() && part.End != ends[part.Index] {
				p.wrong("the bucket says that partition %d ends at %d, the agents say %d", part.Index, part.End, ends[part.Index])
			}
		}
	}
}

// sameIndex waits until the copy of the index is what the bucket gives, slot by slot.
func (p *simPool) sameIndex() {
	why := ""
	for deadline := time.Now().Add(simSettle); time.Now().Before(deadline); time.Sleep(500 * time.Millisecond) {
		if why = p.indexDiffers(); why == "" {
			return
		}
	}
	p.wrong("the copy of the index is not what the bucket gives: %s", why)
}

func (p *simPool) indexDiffers() string {
	ctx := context.Background()
	state, _, err := p.controlLog()
	if err != nil {
		return err.Error()
	}
	era, ok := state.NewestEra()
	if !ok {
		return "no era"
	}
	pin := metadata.Pin{Era: uint64(era.Number), RunID: era.RunID, ReplicationID: era.ReplicationID}
	store := p.world.Main()
	for i := range int32(simPartitions) {
		ends, err := store.Ends(ctx, pin, []topic.Partition{p.partition(i)})
		if err != nil {
			return err.Error()
		}
		if known := p.book.end(i); ends[0].Next != known {
			return fmt.Sprintf("partition %d ends at %d, in the index at %d", i, known, ends[0].Next)
		}
		if least, _ := p.book.starts(i); ends[0].Start != least {
			return fmt.Sprintf("partition %d begins at %d, in the index at %d", i, least, ends[0].Start)
		}
	}
	for j := range state.Journals() {
		want, err := p.slots(j.ID)
		if err != nil {
			return err.Error()
		}
		have, err := store.Segments(ctx, pin, []metadata.Cursor{{Journal: j.ID}}, 1<<30)
		if err != nil {
			return err.Error()
		}
		for _, c := range state.Checkpoints() { // what the era was loaded with is not there slot by slot
			if first := c.Next(j.ID); c.Control == era.Checkpoint && len(want) >= int(first) {
				want = want[first:]
			}
		}
		gone := len(want) - len(have)
		if gone < 0 || gone > 0 && want[gone-1].Slot >= notAskedFor(state, j) {
			return fmt.Sprintf("journal %s has %d slots, %d in the index", j.ID, len(want), len(have))
		}
		want = want[gone:]
		for i := range want {
			is, ought := kept(state, have[i].Extents), kept(state, want[i].Extents) // the copy may have those deleted still, or never had
			if have[i].Slot != want[i].Slot || !slices.EqualFunc(is, ought, sameExtent) {
				return fmt.Sprintf("slot %d of journal %s is %v, %v in the index", want[i].Slot, j.ID, ought, is)
			}
		}
	}
	return ""
}

// notAskedFor is the slot of a journal below which the copy of the index may have dropped what it had: no reader needs it but
// from a checkpoint.
func notAskedFor(s *control.State, j *control.Journal) topic.Slot {
	below, verified := j.Trim, 0
	for _, c := range slices.Backward(s.Checkpoints()) {
		if c.Verified {
			verified++
		}
		if verified == 2 {
			return max(below, c.Next(j.ID))
		}
	}
	return below
}

// kept leaves out the extents of topics that are deleted.
func kept(s *control.State, extents []segment.Extent) []segment.Extent {
	return slices.DeleteFunc(slices.Clone(extents), func(x segment.Extent) bool { return s.TopicDeleted(x.Partition.Topic) })
}

func sameExtent(a, b segment.Extent) bool {
	return a.Partition == b.Partition && a.Epoch == b.Epoch && a.Base == b.Base && a.Next == b.Next &&
		a.Position == b.Position && a.CRC32C == b.CRC32C
}

// slots gives the slots of a journal that count, those that were deleted too. The slice is shared: the caller reads it only.
func (p *simPool) slots(j topic.JournalID) ([]segment.SlotExtents, error) {
	p.footers.mu.Lock()
	defer p.footers.mu.Unlock()
	for {
		next := topic.Slot(len(p.footers.slots[j]))
		e, err := slotlog.Read(context.Background(), p.bucket.archive, slotlog.JournalKey(j, next))
		if errors.Is(err, slotlog.ErrHole) || err == nil && e.Kind == slotlog.Seal {
			return p.footers.slots[j], nil
		}
		if err != nil {
			return nil, err
		}
		f, err := segment.ReadFooter(e.Payload, int64(len(e.Payload)))
		if err != nil {
			return nil, err
		}
		p.footers.slots[j] = append(p.footers.slots[j], f.Repeated())
	}
}

// simFooters is what journals hold as far as it was read.
type simFooters struct {
	mu    sync.Mutex // guards slots
	slots map[topic.JournalID][]segment.SlotExtents
}

// simControl is the control log as far as it was read.
type simControl struct {
	mu     sync.Mutex // guards all below
	state  *control.State
	counts map[string]int
}

func newSimControl() *simControl {
	return &simControl{state: control.New(), counts: map[string]int{
		"takeovers": 0, "moves": 0, "eras": 0, "void": 0, "eras from checkpoints": 0, "checkpoints": 0, "verified": 0, "manifests": 0, "trims": 0, "sweeps": 0,
	}}
}

// controlLog applies the control log to its end and counts what it says.
func (p *simPool) controlLog() (*control.State, map[string]int, error) {
	c := p.control
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		payload, err := slotlog.ReadControl(context.Background(), p.bucket, c.state.Next())
		if errors.Is(err, slotlog.ErrHole) {
			return c.state, maps.Clone(c.counts), nil
		}
		if err != nil {
			return nil, nil, err
		}
		if err := c.apply(payload); err != nil {
			return nil, nil, err
		}
	}
}

// apply takes the next number in. The lock is held.
func (c *simControl) apply(payload []byte) error {
	records, err := control.Decode(payload)
	if err != nil {
		return err
	}
	after, outcomes, err := c.state.Apply(c.state.Next(), records)
	if err != nil {
		return err
	}
	c.state = after
	for i, r := range records {
		if outcomes[i].Void {
			c.counts["void"]++
			continue
		}
		switch r := r.(type) {
		case control.JournalSealed:
			c.counts["takeovers"]++
		case control.JournalOpen:
			c.counts["takeovers"] += len(r.Predecessors)
		case control.Assign:
			c.counts["moves"]++
		case control.Era:
			c.counts["eras"]++
			if r.Checkpoint > 0 {
				c.counts["eras from checkpoints"]++
			}
		case control.Checkpoint:
			c.counts["checkpoints"]++
		case control.Verified:
			c.counts["verified"]++
		case control.Manifest:
			c.counts["manifests"]++
		case control.Trim:
			c.counts["trims"]++
		case control.Sweep:
			c.counts["sweeps"]++
		}
	}
	return nil
}

// counts is what a seed reached. It takes no lock but its own.
func (p *simPool) counts() map[string]int {
	_, counts, err := p.controlLog()
	if err != nil {
		counts = map[string]int{}
	}
	for i, name := range simCounts {
		counts[name] = int(p.book.extra[i].Load())
	}
	return counts
}

// bucketDigest names all that the bucket holds: two runs with one digest did the same.
func (p *simPool) bucketDigest() string {
	h := sha256.New()
	_ = p.bucket.List(context.Background(), "", func(i objectstore.Info) error {
		b, err := p.bucket.Get(context.Background(), i.Key)
		if err == nil {
			fmt.Fprintf(h, "%s %d ", i.Key, len(b))
			_, err = bytes.NewReader(b).WriteTo(h)
		}
		return err
	})
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}
