package bucket_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/bucket"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/objectstore/local"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/test/servers"
)

func TestProbe_GoodStoresPassAndAreLeftClean(t *testing.T) {
	directory, err := local.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, store := range map[string]objectstore.Store{"memory": memory.New(), "directory": directory} {
		if err := bucket.Probe(t.Context(), store); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if left := keys(t, store); len(left) != 0 {
			t.Errorf("%s: probe left %q", name, left)
		}
	}
}

func TestProbe_VersityGW(t *testing.T) {
	server := servers.SharedVersityGW(t)
	server.Setenv(t)
	for _, u := range []string{server.URL("p"), server.MinioURL("q")} {
		store, _, err := bucket.Open(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		if err := bucket.Probe(t.Context(), store); err != nil {
			t.Errorf("probe %s: %v", u, err)
		}
	}
}

// overwriting ignores the condition, as an old S3 clone does: each Create replaces what was there.
type overwriting struct {
	*memory.Store
	mu sync.Mutex
	// from is the number of the Create from which the condition is ignored.
	from, creates int
}

func (o *overwriting) Create(ctx context.Context, key string, body objectstore.Body) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.creates++
	if o.creates >= o.from {
		if err := o.Delete(ctx, key); err != nil {
			return err
		}
	}
	return o.Store.Create(ctx, key, body)
}

func TestProbe_StoreThatOverwritesIsRefused(t *testing.T) {
	for what, from := range map[string]int{"always": 1, "in a race only": 4} {
		store := &overwriting{Store: memory.New(), from: from}
		err := bucket.Probe(t.Context(), store)
		if !errors.Is(err, bucket.ErrUnconditional) || !strings.Contains(err.Error(), "If-None-Match") {
			t.Errorf("store that overwrites %s: %v, want ErrUnconditional with an explanation", what, err)
		}
		if left := keys(t, store); len(left) != 0 {
			t.Errorf("probe left %q", left)
		}
	}
}

// liar answers ErrExists but stores the second body.
type liar struct{ *memory.Store }

func (l liar) Create(ctx context.Context, key string, body objectstore.Body) error {
	err := l.Store.Create(ctx, key, body)
	if errors.Is(err, objectstore.ErrExists) {
		l.Delete(ctx, key)
		l.Store.Create(ctx, key, body)
	}
	return err
}

func TestProbe_StoreThatRefusesButReplacesIsRefused(t *testing.T) {
	if err := bucket.Probe(t.Context(), liar{memory.New()}); !errors.Is(err, bucket.ErrUnconditional) {
		t.Errorf("store that lies: %v, want ErrUnconditional", err)
	}
}

func TestProbe_EachFailureIsReportedAndIsNotAVerdict(t *testing.T) {
	for n := 1; n <= 3; n++ { // create, create again, read back
		store := faulty.New(memory.New(), faulty.Nth(n, faulty.Fault{Before: faulty.ErrRefused}))
		err := bucket.Probe(t.Context(), store)
		if !errors.Is(err, faulty.ErrRefused) || errors.Is(err, bucket.ErrUnconditional) {
			t.Errorf("call %d refused: %v, want the store's error", n, err)
		}
	}
}

func TestProbe_LostAnswersInTheRaceAreNoVerdict(t *testing.T) {
	// Calls 4 to 19 are the race; one of them wins and its answer is lost, or a loser's is.
	for n := 4; n <= 19; n++ {
		store := faulty.New(memory.New(), faulty.Nth(n, faulty.Fault{After: faulty.ErrLost}))
		if err := bucket.Probe(t.Context(), store); err != nil {
			t.Errorf("answer of call %d lost: %v", n, err)
		}
	}
}

// noisy damages every other answer on its way.
type noisy struct {
	*memory.Store
	gets int
}

func (n *noisy) Get(ctx context.Context, key string) ([]byte, error) {
	b, err := n.Store.Get(ctx, key)
	if n.gets++; n.gets%2 == 1 && len(b) > 0 {
		b = append([]byte(nil), b...)
		b[0] ^= 1
	}
	return b, err
}

func TestProbe_DamagedAnswersAreNoVerdict(t *testing.T) {
	if err := bucket.Probe(t.Context(), &noisy{Store: memory.New()}); err != nil {
		t.Errorf("store whose answers are damaged now and then: %v", err)
	}
}
