package compaction

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// aged lets a cluster write, compact and look for garbage for more than a week.
func (w *stored) aged(t *testing.T, a *agent, p topic.Partition) {
	t.Helper()
	for range 14 {
		w.checkpoints(t, 2, a, p)
		a.look(t)
		time.Sleep(2 * time.Minute)
		a.compactAll(t)
		if err := errors.Join(a.Trim(t.Context()), a.Sweep(t.Context()), a.Collect(t.Context())); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Hour)
	}
}

// What a snapshot names stays while the cluster lives on (I9): its slots, the objects of its checkpoint and the control numbers
// from there on, and its compacted objects. When it is deleted they go.
func TestPins_WhatASnapshotNamesStaysUntilItIsDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, one, p := aging(t, plain, soon())
		one.look(t)
		time.Sleep(2 * time.Minute)
		one.compactAll(t)
		j := w.state.OpenJournals()[0].ID
		w.checkpoints(t, 2, one, p)
		base, _ := w.state.NewestCheckpoint()
		snapshot := control.Snapshot{ID: control.PinID{7}, Name: "s", Moment: control.Moment{
			Number: w.state.Next() - 1, Base: control.BaseCheckpoint{Control: base.Control, ID: base.ID},
			Journals: []control.JournalNext{{Journal: j, Next: topic.Slot(len(w.slots[j]))}},
		}}
		w.append(snapshot)
		if _, ok := w.state.Pin(snapshot.ID); !ok {
			t.Fatal("the snapshot is void")
		}
		named := slices.DeleteFunc(w.keys(t, ""), func(key string) bool {
			n, err := slotlog.ParseControlKey(key)
			return strings.HasPrefix(key, "ledger/") || strings.HasPrefix(key, checkpoint.Prefix) || err == nil && n < base.Control
		})
		head, err := checkpoint.ReadHead(t.Context(), w.bucket, base.Control, base.ID)
		if err != nil {
			t.Fatal(err)
		}
		named = append(named, head.Name().Key())
		for _, part := range head.Parts {
			named = append(named, part.Key(), part.Twin())
		}
		classes := []string{slotlog.JournalsPrefix, slotlog.ControlPrefix, checkpoint.Prefix, topic.CompactedPrefix}
		for _, class := range classes {
			if !slices.ContainsFunc(named, func(key string) bool { return strings.HasPrefix(key, class) }) {
				t.Fatalf("the snapshot names nothing below %s", class)
			}
		}

		w.aged(t, one, p)
		left := w.keys(t, "")
		for _, key := range named {
			if !slices.Contains(left, key) {
				t.Errorf("%s is gone, the snapshot names it", key)
			}
		}

		w.append(control.Unpin{Pin: snapshot.ID, Whole: true})
		w.aged(t, one, p)
		left = w.keys(t, "")
		for _, class := range classes {
			gone := func(key string) bool { return strings.HasPrefix(key, class) && !slices.Contains(left, key) }
			if !slices.ContainsFunc(named, gone) {
				t.Errorf("nothing below %s went with the snapshot", class)
			}
		}
	})
}
