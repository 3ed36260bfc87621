package check

import (
	"fmt"
	"time"

	"github.com/odradek/odradek/test/chaos/history"
)

// maxViolations is how many of one rule are told; the others are counted.
const maxViolations = 20

// Input is all there is to judge.
type Input struct {
	Events []history.Event

	// Final is what each agent served in the end, from offset 0, by its name. A partition that is missing in an agent's
	// listing was not served by it.
	Final map[string]map[history.Partition][]history.Record
	// ReadBack is what was read of topics before they were deleted.
	ReadBack map[history.Partition][]history.Record

	Takeovers []Takeover                  // by seal, from the control log
	Findings  []string                    // of odradek verify; empty: clean
	Stored    map[history.Partition]int64 // ends of partitions as the bucket has them; nil: not walked
	Begin     map[history.Partition]int64 // where fading ones begin in the bucket; nil: not walked
	Index     *Index                      // Redis beside the bucket in the end; nil: not compared
	// Bucket is what lies in the bucket from Begin on, read there without an agent; nil: not read.
	Bucket map[history.Partition][]history.Record
	Fading map[string]history.Fading // topics that lose records meanwhile; what nobody may lose is all else

	Seed    uint64 // of the windows that are sampled
	Windows int    // how many
}

// Index is what a comparison of Redis with the bucket came to, when nothing was produced any more and agents ran.
type Index struct {
	Ends    int      `json:"ends"`    // of partitions, that were the same
	Differs []string `json:"differs"` // what was not, was missing or was not compared
}

// Takeover is an epoch of a partition that began because the journal of its owner was sealed.
type Takeover struct {
	Partition history.Partition
	Epoch     int32
	Base      int64
}

// Violation is one thing that must not be.
type Violation struct {
	Rule string
	Text string
}

func (v Violation) String() string { return v.Rule + ": " + v.Text }

// Result is the judgement.
type Result struct {
	Violations []Violation
	More       map[string]int // violations that are not listed, by rule

	Sent, Acked, Read int      // records
	Lost              int      // of those acked with acks=all
	Faded             int      // acked records that went as their topics' settings say
	LostByTakeover    []string // acked with acks=1 and gone with a takeover: allowed, and listed
	Doubled           int      // of idempotent producers
	DoubledWithout    int      // of producers that are not idempotent: allowed
	Disordered        int
	Excused           int // committed offsets that a commit of unknown outcome explains
	Windows, Timeouts int // of porcupine
}

// Clean reports whether nothing is wrong.
func (r *Result) Clean() bool { return len(r.Violations) == 0 }

// Check judges a history.
func Check(in Input) Result {
	r := &Result{More: make(map[string]int)}
	b := newBook(in, r)
	b.records()
	b.order()
	b.consumers()
	b.ends()
	b.starting()
	b.commits()
	b.watermarks()
	b.final()
	b.index()
	b.linear()
	return *r
}

// violate notes a violation.
func (r *Result) violate(rule, format string, args ...any) {
	n := 0
	for _, v := range r.Violations {
		if v.Rule == rule {
			n++
		}
	}
	if n >= maxViolations {
		r.More[rule]++
		return
	}
	r.Violations = append(r.Violations, Violation{rule, fmt.Sprintf(format, args...)})
}

// at prints a partition and an offset.
func at(p history.Partition, offset int64) string {
	return fmt.Sprintf("%s/%d@%d", p.Topic, p.Index, offset)
}

// when prints the time of a call.
func when(e history.Event) string {
	if e.End == history.Never {
		return fmt.Sprintf("%.3fs-", e.Start.Seconds())
	}
	return fmt.Sprintf("%.3fs-%.3fs", e.Start.Seconds(), e.End.Seconds())
}

// seconds prints a time.
func seconds(d time.Duration) string { return fmt.Sprintf("%.3fs", d.Seconds()) }
