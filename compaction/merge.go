package compaction

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

// output makes one compacted object: write fills it run by run. It gives a MANIFEST that names it and has no parts yet. An
// object that no MANIFEST comes to name is garbage, whatever this process comes to (G2, G5).
func (c *Compactor) output(ctx context.Context, s *control.State, write func(*segment.ObjectWriter) error) (control.Manifest, error) {
	o := topic.Object{Planned: s.Next() - 1}
	rand.Read(o.ID[:])
	size, err := objectstore.CreateLarge(ctx, c.store, o.Key(), func(emit func([]byte) error) error {
		w := segment.NewObjectWriter(o, func(part []byte) error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return emit(part)
		}, c.cfg.Merge.Codec)
		if err := write(w); err != nil {
			return err
		}
		_, err := w.Close()
		return err
	})
	if err != nil {
		return control.Manifest{}, fmt.Errorf("write %s: %w", o.Key(), err)
	}
	c.merged.written.Add(size)
	return control.Manifest{Output: o, Size: size}, nil
}

// mergeSlots does a job: one object of level 1 out of slots. The job's stored bytes are in memory while it runs.
func (c *Compactor) mergeSlots(ctx context.Context, s *control.State, job slotJob) (control.Manifest, error) {
	stored, err := c.fetch(ctx, job)
	if err != nil {
		return control.Manifest{}, err
	}
	c.merged.read.Add(job.bytes)
	var parts []control.ManifestPart
	m, err := c.output(ctx, s, func(w *segment.ObjectWriter) error {
		for _, p := range job.parts {
			if err := w.Begin(p.partition, p.extents[0].Base, levelSlots); err != nil {
				return err
			}
			for _, e := range p.extents {
				raw, err := stored.batches(ctx, p.partition, e)
				if err != nil {
					return err
				}
				if err := w.Append(raw); err != nil {
					return err
				}
			}
			run, err := w.End(p.to)
			if err != nil {
				return err
			}
			parts = append(parts, p.part(&run))
		}
		return nil
	})
	m.Parts = parts
	return m, c.check(ctx, m, err)
}

// mergeRuns does a job: one object out of runs of others. A step of each object that is read is in memory.
func (c *Compactor) mergeRuns(ctx context.Context, s *control.State, job runJob) (control.Manifest, error) {
	objects := c.readers(job)
	var parts []control.ManifestPart
	m, err := c.output(ctx, s, func(w *segment.ObjectWriter) error {
		for _, p := range job.parts {
			run, err := c.mergeRun(ctx, w, objects, p, job.level)
			if err != nil {
				return err
			}
			parts = append(parts, p.part(run))
		}
		return nil
	})
	c.merged.read.Add(job.bytes)
	m.Parts = parts
	return m, c.check(ctx, m, err)
}

// mergeRun writes the runs of one partition as one; nil if all of them lie below the log start.
func (c *Compactor) mergeRun(ctx context.Context, w *segment.ObjectWriter, objects map[topic.Object]*objectReader, p runPart, level uint8) (*topic.Run, error) {
	begun := false
	for _, r := range p.runs {
		o := objects[r.Object]
		extents, err := o.extents(ctx, p.partition, r)
		if err != nil {
			return nil, err
		}
		if !begun && len(extents) == 0 && r.Next > p.start { // key compaction left nothing of it, its offsets stay
			if err := w.Begin(p.partition, r.Base, level); err != nil {
				return nil, err
			}
			begun = true
		}
		for _, e := range extents {
			if e.Next <= p.start {
				continue
			}
			if !begun {
				if err := w.Begin(p.partition, e.Base, level); err != nil {
					return nil, err
				}
				begun = true
			}
			raw, err := o.batches(ctx, e)
			if err != nil {
				return nil, err
			}
			if err := w.Append(raw); err != nil {
				return nil, err
			}
		}
		o.passed(r)
	}
	if !begun {
		return nil, nil
	}
	if cleaned := cleanedTo(p.runs); cleaned > w.Base() { // of neighbours, the ones that were cleaned come first
		w.Cleaned(cleaned)
	}
	w.Erased(min(erasedFrom(p.runs), uint64(p.to-w.Base())))
	run, err := w.End(p.to)
	return &run, err
}

// erasedFrom gives how many records were erased from runs.
func erasedFrom(runs []topic.Run) (n uint64) {
	for _, r := range runs {
		n += r.Erased
	}
	return n
}

// footerRead is what one GET of a compacted object's footer brings.
const footerRead = 64 << 10

// footerOf reads the footer of a compacted object of size bytes.
func (c *Compactor) footerOf(ctx context.Context, key string, size int64) (footer segment.ObjectFooter, err error) {
	for want := min(size, footerRead); want > 0; {
		_, err := c.get(ctx, key, size-want, want, func(b []byte) (err error) {
			footer, err = segment.ReadObjectFooter(b, size)
			var short *segment.ShortError
			if errors.As(err, &short) && short.Need > want {
				want = min(size, short.Need)
				return nil
			}
			want = 0
			return err
		})
		if err != nil {
			return footer, err
		}
	}
	return footer, nil
}

// check reads the footer of what was made back: it is there, whole by its length, and holds what the MANIFEST is to say. Its
// bytes were checked by the store as it took them. failed is the error that there was before.
func (c *Compactor) check(ctx context.Context, m control.Manifest, failed error) error {
	if failed != nil {
		return failed
	}
	footer, err := c.footerOf(ctx, m.Output.Key(), m.Size)
	if err != nil {
		return err
	}
	if err := footer.At(m.Output); err != nil {
		return err
	}
	at := 0
	for _, p := range m.Parts {
		if p.Run == nil {
			continue
		}
		if at >= len(footer.Runs) || footer.Runs[at].Partition != p.Partition || footer.Runs[at].Run != *p.Run {
			return fmt.Errorf("%s: run %d is not what was written: %w", m.Output.Key(), at, segment.ErrCorrupt)
		}
		at++
	}
	return nil
}
