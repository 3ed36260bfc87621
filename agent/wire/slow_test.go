package wire

import (
	"testing"
	"time"
)

func TestArriving_FramesBelowTheRateAreSlow(t *testing.T) {
	a := newArriving()
	steady, stuck, early := new(conn), new(conn), new(conn)
	now := time.Now()
	a.frames[steady] = &arrival{since: now.Add(-patience - 2*time.Second), bytes: 3 * slowRate}
	a.frames[stuck] = &arrival{since: now.Add(-patience - 2*time.Second), bytes: slowRate}
	a.frames[early] = &arrival{since: now.Add(-patience / 2)}
	slow := a.slow(now)
	if len(slow) != 1 || slow[0] != stuck {
		t.Fatalf("%d frames are slow, want the stuck one", len(slow))
	}
	if len(a.slow(now)) != 0 {
		t.Fatal("a connection is given up twice")
	}
}
