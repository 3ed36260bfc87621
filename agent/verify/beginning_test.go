package verify

import (
	"errors"
	"testing"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// forget deletes the control numbers [1, below), as agents do when no checkpoint needs them.
func (f *forge) forget(below topic.Slot) {
	f.t.Helper()
	for n := topic.Slot(1); n < below; n++ {
		f.remove(slotlog.ControlKey(n))
	}
}

// forgotten is a bucket that lived, without the control log's beginning, and the seal and slots of its first journal.
func forgotten(t *testing.T) *forge {
	f, _ := lived(t)
	f.checkpoint()
	f.checkpoint()
	f.removeTrimmed()
	f.clean()
	f.forget(f.state.Checkpoints()[0].Control)
	return f
}

func TestRun_TheControlLogsBeginningIsGone(t *testing.T) {
	f, _ := lived(t)
	f.checkpoint()
	f.checkpoint()
	f.removeTrimmed()
	whole := f.verify(Options{})
	oldest := f.state.Checkpoints()[0].Control
	f.forget(oldest)
	f.clean()
	r := f.verify(Options{})
	if r.Control.From != oldest+1 || r.Control.Numbers != int(f.next-oldest-1) || r.ClusterID != whole.ClusterID {
		t.Errorf("%+v", r.Control)
	}
	for i, p := range r.Topics[0].Partitions {
		if p != whole.Topics[0].Partitions[i] {
			t.Errorf("%+v, was %+v", p, whole.Topics[0].Partitions[i])
		}
	}
	if got := accounts(r); got[ClassControl] != int(f.next-oldest)+1 || got["bytes not accounted for"] != 0 {
		t.Errorf("%v", got)
	}
	s, base, err := Beginning(t.Context(), f.store, 4)
	if err != nil || s.Next() != oldest+1 || base.Control != oldest {
		t.Errorf("begins behind %v: %v", base, err)
	}
}

// G4: the seal of a journal whose slots are all trimmed may be gone, that of another may not.
func TestRun_ASealThatNothingNeedsMayBeGone(t *testing.T) {
	f := forgotten(t)
	f.remove(key(first, 3))
	f.clean()
	f = whole(t)
	f.remove(key(first, 3))
	wantFinding(t, f.verify(Options{}), key(first, 3), "slot missing")
}

func TestRun_WithoutACheckpointForItTheBeginningIsMissed(t *testing.T) {
	f := forgotten(t)
	for _, c := range f.state.Checkpoints() {
		f.remove(headKey(c))
	}
	wantFinding(t, f.verify(Options{}), slotlog.ControlKey(1), "deleted", "no checkpoint")
	if _, _, err := Beginning(t.Context(), f.store, 4); !errors.Is(err, ErrForgotten) {
		t.Errorf("%v, want ErrForgotten", err)
	}

	f = forgotten(t)
	f.remove(slotlog.ControlKey(0))
	wantFinding(t, f.verify(Options{}), slotlog.ControlKey(0), "never deleted")
}

// A checkpoint that nobody verified stands for nothing.
func TestBeginning_UnverifiedCheckpointsArePassedOver(t *testing.T) {
	f, _ := lived(t)
	before := f.state.Checkpoints()
	f.forget(before[0].Control)
	f.remove(headKey(before[0]))
	s, base, err := Beginning(t.Context(), f.store, 4)
	if err != nil || base.ID != before[1].ID || s.Next() != before[1].Control+1 {
		t.Fatalf("begins behind %v: %v", base, err)
	}
	n, err := slotlog.ReadControl(t.Context(), f.store, before[1].At+1)
	if err != nil {
		t.Fatal(err)
	}
	if records, err := control.Decode(n); err != nil || records[0].Type() != control.TypeVerified {
		t.Fatalf("%v, %v", records, err)
	}
	for n := before[1].At + 1; n < f.next; n++ { // its VERIFIED and all behind it
		f.remove(slotlog.ControlKey(n))
	}
	if _, _, err := Beginning(t.Context(), f.store, 4); !errors.Is(err, ErrForgotten) {
		t.Errorf("%v, want ErrForgotten", err)
	}
}

func headKey(c control.CheckpointInfo) string {
	return checkpoint.Name{Control: c.Control, ID: c.ID}.Key()
}
