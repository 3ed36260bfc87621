package bucket

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/odradek/odradek/objectstore"
)

const (
	// racers is how many creators meet at one key.
	racers = 16
	// cleanTime bounds how long the probe's keys are tried to be deleted.
	cleanTime = 2 * time.Second
	// probeReads is how often an object that is not as wanted is read.
	probeReads = 3
)

// ErrUnconditional says that a store creates objects that exist already. Two agents would write into each other's
// journals there, and each would acknowledge records that the other replaced.
var ErrUnconditional = errors.New("the bucket ignores If-None-Match, so it cannot decide between two writers: " +
	"records would be lost. Use a store with conditional writes: Amazon S3, MinIO, versitygw, a directory")

// Probe checks that Create lets nobody but the first create a key (rule B1): a second Create fails, and of sixteen
// at once one wins, whose bytes are there. It works below `probe/` and deletes its keys. ErrUnconditional is a store
// that broke the promise; every other error, such as one that cannot be reached, proves nothing.
func Probe(ctx context.Context, store objectstore.Store) error {
	var id [16]byte
	rand.Read(id[:])
	prefix := "probe/" + hex.EncodeToString(id[:])
	first, race := prefix+"/second", prefix+"/race"
	defer func() {
		ctx, cancel := context.WithTimeout(ctx, cleanTime)
		defer cancel()
		for _, key := range []string{first, race} {
			_ = store.Delete(ctx, key) // what is left is two small objects that nobody reads
		}
	}()
	if err := probeSecond(ctx, store, first); err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	if err := probeRace(ctx, store, race); err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	return nil
}

func probeSecond(ctx context.Context, store objectstore.Store, key string) error {
	if err := store.Create(ctx, key, objectstore.NewBody([]byte("first"))); err != nil {
		return err
	}
	err := store.Create(ctx, key, objectstore.NewBody([]byte("second")))
	if err == nil {
		return fmt.Errorf("a key was created twice: %w", ErrUnconditional)
	}
	if !errors.Is(err, objectstore.ErrExists) {
		return err
	}
	got, err := read(ctx, store, key, "first")
	if err != nil {
		return err
	}
	if string(got) != "first" {
		return fmt.Errorf("a refused create replaced the object with %.20q: %w", got, ErrUnconditional)
	}
	return nil
}

func probeRace(ctx context.Context, store objectstore.Store, key string) error {
	var errs [racers]error
	var start, done sync.WaitGroup
	start.Add(1)
	for i := range racers {
		done.Go(func() {
			body := objectstore.NewBody(racer(i))
			start.Wait()
			errs[i] = store.Create(ctx, key, body)
		})
	}
	start.Done()
	done.Wait()

	winner, winners := 0, 0
	var unknown error
	for i, err := range errs {
		switch {
		case err == nil:
			winner, winners = i, winners+1
		case !errors.Is(err, objectstore.ErrExists):
			unknown = err
		}
	}
	got, err := read(ctx, store, key, string(racer(winner)))
	switch {
	case winners > 1:
		return fmt.Errorf("%d of %d creators of one key won: %w", winners, racers, ErrUnconditional)
	case err != nil && unknown != nil:
		return unknown
	case err != nil:
		return err
	case winners == 0 && unknown == nil:
		return fmt.Errorf("none of %d creators of a new key won: %w", racers, ErrUnconditional)
	case winners == 1 && string(got) != string(racer(winner)):
		return fmt.Errorf("the winner of a race wrote %q, the object is %.20q: %w", racer(winner), got, ErrUnconditional)
	}
	return nil
}

// read gives what an object holds. One that is not as wanted is read again: what damages an answer on its way must not look
// like a store that cannot decide.
func read(ctx context.Context, store objectstore.Store, key, want string) (got []byte, err error) {
	for range probeReads {
		if got, err = store.Get(ctx, key); err != nil || string(got) == want {
			break
		}
	}
	return got, err
}

func racer(i int) []byte { return fmt.Appendf(nil, "racer %d", i) }
