package compaction

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// A cluster that fell asleep is cleaned up all the same, and then rests: checkpoints are made as long as something waits for
// them, and no longer.
func TestRun_AnIdleClusterIsCleanedAndRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStored(t)
		j := w.openJournal()
		kept, gone := w.createTopic(j, j), w.createTopic(j, j)
		all := append(parts(kept, 2), parts(gone, 2)...)
		cfg := Config{LeastSlots: 10, Merge: MergeConfig{Codec: soon().Merge.Codec}}
		a := w.agent(j, w.bucket, cfg)
		for range 100 {
			w.put(j, 200, all...)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- a.Run(ctx) }()
		time.Sleep(time.Hour)
		w.during(func() { w.append(control.TopicDelete{ID: gone}) })
		time.Sleep(8 * time.Hour)
		before := w.now().Next()
		time.Sleep(8 * time.Hour)
		after := w.now()
		stop()
		<-ended
		if after.Next() != before {
			t.Errorf("%d control numbers in hours in which nothing happened", after.Next()-before)
		}
		if at, _ := after.Journal(j); at.Trim != 100 || len(w.keys(t, slotlog.JournalsPrefix)) != 0 {
			t.Errorf("trimmed to %d, %d slots are left", at.Trim, len(w.keys(t, slotlog.JournalsPrefix)))
		}
		for _, key := range w.keys(t, topic.CompactedPrefix) {
			if o, err := topic.ParseObjectKey(key); err != nil || after.Compaction(all[0]).Runs[0].Object != o {
				t.Errorf("%s is left, %v", key, err)
			}
		}
		if s := a.Stats(); s.Failed+s.JobsFailed > 0 {
			t.Errorf("stats %+v", s)
		}
		w.readAll()
	})
}

// A checkpoint that is due at every look does not keep anything from being compacted.
func TestRun_CheckpointsDueAllTheTimeLeaveRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStored(t)
		j := w.openJournal()
		all := parts(w.createTopic(j, j), 2)
		cfg := soon()
		cfg.Slots, cfg.Look = 1, 5*time.Second
		a := w.agent(j, w.bucket, cfg)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- a.Run(ctx) }()
		for range 900 {
			time.Sleep(time.Second)
			w.during(func() { w.put(j, 200, all...) })
		}
		stop()
		<-ended
		if s := a.Stats(); s.Built < 80 || s.Jobs[FromSlots] < 8 || s.Failed > 0 {
			t.Errorf("stats %+v", s)
		}
		w.readAll()
	})
}

// A checkpoint is due when many extents came, in however few slots: with a count of them, and without one once a first
// checkpoint was computed.
func TestRun_ManyExtentsInFewSlots(t *testing.T) {
	for _, counted := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newStored(t)
			j := w.openJournal()
			all := parts(w.createTopic(journalsOf(j, 50)...), 50)
			cfg := soon()
			cfg.Extents, cfg.Interval, cfg.LeastSlots = 1000, time.Hour, 10
			if counted {
				cfg.Above = func(next func(topic.JournalID) topic.Slot) int { return 50 * (len(w.slots[j]) - int(next(j))) }
			}
			a := w.agent(j, w.bucket, cfg)
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- a.Run(ctx) }()
			most := 0
			for i := range 70 {
				time.Sleep(time.Minute)
				w.during(func() {
					w.put(j, 50, all...)
					newest, _ := w.state.NewestCheckpoint()
					if since := len(w.slots[j]) - int(newest.Next(j)); counted || i > 61 {
						most = max(most, since)
					}
				})
			}
			stop()
			<-ended
			if most > 21 {
				t.Errorf("counted %t: %d slots of 50 extents above the newest checkpoint", counted, most)
			}
		})
	}
}
