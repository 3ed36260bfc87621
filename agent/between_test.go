package agent

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/agent/api"
	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/topic"
)

// together starts an agent beside a journal whose agent does nothing, and a topic of one partition.
func together(t *testing.T) (l *living, p topic.Partition, stranger topic.JournalID) {
	t.Helper()
	l = alone(t)
	l.agent.settings.Stores.Redis = "redis://127.0.0.1" // there may be others
	id, err := l.cluster.CreateTopic(t.Context(), cluster.NewTopic{Name: "t", Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	open := control.JournalOpen{ID: topic.JournalID{9}, K: 4, Format: control.FormatLevel}
	if _, err := l.cluster.Propose(t.Context(), func(*control.State) ([]control.Record, error) { return []control.Record{open}, nil }); err != nil {
		t.Fatal(err)
	}
	return l, topic.Partition{Topic: id}, open.ID
}

// produced sends one record as a client does, and gives how long the answer took.
func (l *living) produced(t *testing.T, p topic.Partition) (time.Duration, error) {
	t.Helper()
	began := time.Now()
	batch := recordbatch.Build(recordbatch.Draft{Records: []recordbatch.Record{{Timestamp: 1, Value: []byte("x")}}})
	_, err := (&apiLog{l.session}).Append(t.Context(), -1, []api.PartitionBatch{{Partition: p, Records: batch}})[0].Wait(t.Context())
	return time.Since(began), err
}

// fetched asks for records as a client does.
func (l *living) fetched(t *testing.T, p topic.Partition) (time.Duration, error) {
	t.Helper()
	began := time.Now()
	out := (&apiReader{l.session}).Read(t.Context(), api.ReadRequest{Parts: []api.ReadPart{{Partition: p, MaxBytes: 1 << 20}}})
	return time.Since(began), out[0].Err
}

// Whoever comes to a partition that was released is answered when it is known who owns it next.
func TestBetween_ClientsOfAReleasedPartitionWaitForItsNextOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, p, stranger := together(t)
		released, err := l.ingest.Release(t.Context(), []topic.Partition{p})
		if err != nil || len(released) != 1 {
			t.Fatalf("released %v, %v", released, err)
		}
		time.AfterFunc(300*time.Millisecond, func() {
			r := released[0]
			if _, err := l.cluster.Assign(t.Context(), []control.Assign{{Partition: p, ToJournal: stranger, Base: r.End, Released: r.Slot}}); err != nil {
				t.Error(err)
			}
		})
		reading := make(chan time.Duration)
		go func() {
			took, err := l.fetched(t, p)
			if !errors.Is(err, ingest.ErrNotOwner) {
				t.Errorf("read: %v", err)
			}
			reading <- took
		}()
		took, err := l.produced(t, p)
		if a, _ := l.cluster.State().Owner(p); !errors.Is(err, ingest.ErrNotOwner) || a.Journal != stranger {
			t.Errorf("produce: %v, and %v owns it", err, a.Journal)
		}
		for what, took := range map[string]time.Duration{"produce": took, "read": <-reading} {
			if took < 300*time.Millisecond || took > 400*time.Millisecond {
				t.Errorf("%s was answered after %v, want when the assignment was known", what, took)
			}
		}
	})
}

// Nobody waits long for a partition that nobody takes, and not one request after the other.
func TestBetween_OneRequestWaitsInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, p, _ := together(t)
		if _, err := l.ingest.Release(t.Context(), []topic.Partition{p}); err != nil {
			t.Fatal(err)
		}
		want := func(what string, least, most time.Duration) {
			t.Helper()
			if took, err := l.produced(t, p); !errors.Is(err, ingest.ErrNotOwner) || took < least || took > most {
				t.Errorf("%s: %v after %v, want %v to %v", what, err, took, least, most)
			}
		}
		want("first", betweenTime, betweenTime+betweenPoll)
		want("next", 0, 0)
		l.owning.between.inVain.Store(time.Now().Add(-betweenRest).UnixNano())
		want("later", betweenTime, betweenTime+betweenPoll)
	})
}

// Who comes to the new owner while that still loads what the partition needs is not sent away.
func TestBetween_ClientsOfAnArrivingPartitionWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, p, _ := together(t)
		l.owning.mu.Lock()
		l.owning.gains[p] = gain{epoch: 1, cancel: func() {}}
		l.owning.mu.Unlock()
		time.AfterFunc(200*time.Millisecond, func() { l.owning.forget(control.Assignment{Partition: p, Epoch: 1}) })
		if took, err := l.produced(t, p); err != nil || took < 200*time.Millisecond {
			t.Errorf("%v after %v", err, took)
		}
	})
}
