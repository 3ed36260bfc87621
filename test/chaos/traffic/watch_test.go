package traffic

import (
	"testing"
	"time"

	"github.com/odradek/odradek/test/chaos/history"
)

// ack has a producer send a record of a partition now and be answered at once.
func ack(tr *Traffic, index int32, acks int) {
	p := history.Partition{Topic: "orders", Index: index}
	e := history.Event{Kind: history.Produced, Start: tr.log.Now(), Partition: p, Acks: acks, Value: time.Now().String()}
	tr.began(e)
	tr.ended(e, 0, nil)
}

func TestWatch_WaitsForEveryPartition(t *testing.T) {
	tr := New(Config{Log: history.New(), Topics: map[string]int32{"orders": 2}})
	early := history.Event{Kind: history.Produced, Start: tr.log.Now(), Partition: history.Partition{Topic: "orders", Index: 1}, Acks: -1, Value: "early"}
	tr.began(early)
	time.Sleep(time.Millisecond)
	w := tr.Watch()
	defer w.Close()
	ack(tr, 0, -1)
	ack(tr, 1, 1)           // says nothing of the bucket
	ack(tr, 7, -1)          // of no partition that is watched
	tr.ended(early, 0, nil) // was sent before
	if _, err := w.Wait(t.Context(), 10*time.Millisecond); err == nil {
		t.Fatal("partition 1 had no ack, and the watch is over")
	}
	ack(tr, 1, -1)
	took, err := w.Wait(t.Context(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if took < 10*time.Millisecond || w.Silence() == 0 || w.Silence() > took {
		t.Fatalf("took %v, silence %v", took, w.Silence())
	}
}
