package objectstoretest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/odradek/odradek/objectstore"
)

// createRace lets sixteen creators meet at a key, ten times over, each with a body of its own.
func createRace(t *testing.T, s objectstore.Store) {
	const rounds, racers = 10, 16
	for round := range rounds {
		key := fmt.Sprintf("race/%02d", round)
		errs := make([]error, racers)
		var start, done sync.WaitGroup
		start.Add(1)
		for i := range racers {
			done.Go(func() {
				body := objectstore.NewBody(fmt.Appendf(nil, "racer %02d", i), pattern(1000))
				start.Wait()
				errs[i] = s.Create(t.Context(), key, body)
			})
		}
		start.Done()
		done.Wait()
		wantOneWinner(t, s, key, errs)
	}
}

// wantOneWinner allows "unknown" beside ErrExists, as a store may answer a conflict with it. The winner must be
// the one whose bytes are there.
func wantOneWinner(t *testing.T, s objectstore.Store, key string, errs []error) {
	t.Helper()
	winner, winners, unknown := -1, 0, 0
	for i, err := range errs {
		switch {
		case err == nil:
			winner, winners = i, winners+1
		case !errors.Is(err, objectstore.ErrExists):
			unknown++
			t.Logf("%s: racer %d: %v", key, i, err)
		}
	}
	got := string(get(t, s, key)[:len("racer 00")])
	if winners > 1 || winners == 0 && unknown == 0 {
		t.Fatalf("%s: %d of %d creators won, want 1; the object is %q", key, winners, len(errs), got)
	}
	if want := fmt.Sprintf("racer %02d", winner); winners == 1 && got != want {
		t.Fatalf("%s: %s won, but the object is %q", key, want, got)
	}
}
