package slotlog

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/objectstore/memory"
)

// damaged changes one byte of the trailer that the n-th GetRange brings.
func damaged(n, at int, change byte) faulty.Script {
	return func(c faulty.Call) faulty.Fault {
		if c.Kind != objectstore.KindGetRange || c.OfKind != n {
			return faulty.Fault{}
		}
		return faulty.Fault{Mangle: func(b []byte) []byte {
			b = bytes.Clone(b)
			b[len(b)-TrailerSize+at] ^= change
			return b
		}}
	}
}

// A slot that holds data is not taken for the seal because its trailer came damaged: everything behind it would be lost.
func TestSealJournal_DamagedTrailerIsNoSeal(t *testing.T) {
	store := faulty.New(have(t, 0, 1, 2), damaged(2, 8, byte(Data)^byte(Seal))) // the first one compares
	if seal, err := SealJournal(t.Context(), store, testJournal, 0, "test"); seal != 3 || err != nil {
		t.Fatalf("sealed at %d, %v; want 3", seal, err)
	}
}

// A proof does not end a journal by a trailer that came damaged.
func TestProof_DamagedTrailerDoesNotFence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := faulty.New(memory.New(), faulty.Each(
			damaged(1, 8, byte(Data)^byte(Seal)),
			faulty.NthOf(objectstore.KindCreate, 1, faulty.Fault{After: faulty.ErrLost}),
		))
		w := write(t, store, 1)
		w.put(t, "mine, and the answer is lost")
		synctest.Wait()
		if err := w.Proof(t.Context()); err != nil {
			t.Fatalf("proof: %v", err)
		}
		if err := w.Err(); err != nil {
			t.Fatalf("journal is over: %v", err)
		}
	})
}

// Who is found sealed by a proof is over at once, also while it has nothing to write: a taker that died before it said so
// in the control log must not leave an owner behind that can prove nothing.
func TestRun_EndsWhenAProofFindsTheSeal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		w := write(t, store, 4)
		w.put(t, "mine")
		w.drained(t)
		if _, err := SealJournal(t.Context(), store, testJournal, 0, "test"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
		if err := w.Proof(t.Context()); !errors.Is(err, ErrFenced) {
			t.Fatalf("proof of a sealed journal: %v, want ErrFenced", err)
		}
		synctest.Wait()
		select {
		case err := <-w.over:
			if !errors.Is(err, ErrFenced) {
				t.Errorf("run ended with %v, want ErrFenced", err)
			}
		default:
			t.Error("the writer goes on")
		}
	})
}

// A body that landed is not another's, nor the work of a cloned machine, because its trailer came damaged.
func TestLand_DamagedTrailerDecidesNothing(t *testing.T) {
	for name, at := range map[string]int{"magic": 0, "kind": 8, "nonce": 16, "length": 39, "crc": 44} {
		t.Run(name, func(t *testing.T) {
			store := faulty.New(memory.New(), faulty.Each(
				damaged(1, at, 0x80),
				faulty.NthOf(objectstore.KindCreate, 1, faulty.Fault{After: faulty.ErrLost}),
			))
			if err := Decide(t.Context(), store, 0, []byte("mine, and the answer is lost")); err != nil {
				t.Error(err)
			}
		})
	}
}
