package compaction

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/odradek/odradek/control"
)

// mostTrims is how many journals one control number trims.
const mostTrims = 1000

// Trim appends TRIM for the journals of which slots are not needed any more: what they held is in runs, lies below the log
// start, or is of topics that are deleted (I2). Of each journal at most once in GarbageConfig.Trim.
func (c *Compactor) Trim(ctx context.Context) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer c.done()
	s := c.log.State()
	newest, ok := s.NewestCheckpoint()
	if !ok || !c.cfg.Open() {
		return nil
	}
	now := time.Now()
	c.groups.look(s, now)
	if v := c.survey; v != nil && len(v.beyond) > 0 && v.read != c.progress() {
		c.survey = nil // what it says of others' partitions is from before
	}
	v, err := c.surveyed(ctx, s, newest, c.groups.mine(s, c.cfg, now))
	if err != nil {
		return err
	}
	var records []control.Record
	needed := v.needed(s)
	second, _ := secondVerified(s)
	trims := planTrims(s, second, needed)
	c.owed[0].Store(!slices.Equal(trims, planTrims(s, newest, needed)))
	for _, t := range trims {
		if last, ok := c.trimmed[t.Journal]; ok && now.Sub(last) < c.cfg.Garbage.Trim || len(records) == mostTrims {
			continue
		}
		records = append(records, t)
	}
	if len(records) == 0 {
		return nil
	}
	outcomes, err := c.log.Propose(ctx, func(s *control.State) ([]control.Record, error) {
		var hold []control.Record
		for _, r := range records {
			if !s.Judge(r).Void {
				hold = append(hold, r)
			}
		}
		return hold, nil
	})
	if err != nil {
		return fmt.Errorf("append trims of %d journals: %w", len(records), err)
	}
	for _, r := range records {
		c.trimmed[r.(control.Trim).Journal] = now
	}
	c.merged.trims.Add(int64(len(outcomes)))
	slog.DebugContext(ctx, "journals trimmed", "journals", len(outcomes))
	return nil
}
