package compaction

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/odradek/odradek/topic"
)

func TestOffsetMap_IsAMapUntilItIsFull(t *testing.T) {
	for _, bytes := range []int{0, 100, 1000, 24 * 4000} {
		t.Run(fmt.Sprint(bytes), func(t *testing.T) {
			dice := rand.New(rand.NewPCG(uint64(bytes), 1))
			m := NewOffsetMap(bytes)
			for range 3 {
				want := make(map[string]topic.Offset)
				refused := 0
				for i := range 3 * m.Cap() {
					key := fmt.Sprint(dice.IntN(2 * m.Cap()))
					at := topic.Offset(dice.IntN(1000))
					newest, known := want[key]
					if ok := m.Put([]byte(key), at); ok != (known || len(want) < m.Cap()) {
						t.Fatalf("put %d: taken %t with %d of %d keys, known %t", i, ok, len(want), m.Cap(), known)
					} else if !ok {
						refused++
						continue
					}
					want[key] = at
					if known {
						want[key] = max(at, newest)
					}
				}
				for i := range 2 * m.Cap() {
					key := fmt.Sprint(i)
					newest, known := want[key]
					if at, ok := m.Newest([]byte(key)); ok != known || at != newest {
						t.Errorf("key %s: %d %t, want %d %t", key, at, ok, newest, known)
					}
				}
				if m.Len() != len(want) || refused == 0 {
					t.Errorf("%d keys, want %d; %d refused", m.Len(), len(want), refused)
				}
				m.Clear()
			}
			if _, ok := m.Newest([]byte("1")); ok || m.Len() != 0 {
				t.Error("a cleared map knows keys")
			}
		})
	}
}

func TestOffsetMap_TakesTheMemoryItWasGiven(t *testing.T) {
	m := NewOffsetMap(24_000)
	if len(m.slots) != 1000 || m.Cap() != 900 {
		t.Errorf("%d slots, %d keys", len(m.slots), m.Cap())
	}
	if n := testing.AllocsPerRun(100, func() { m.Put([]byte("key"), 5); m.Newest([]byte("key")) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkOffsetMap(b *testing.B) {
	const keys = 1_000_000
	m := NewOffsetMap(keys * keyEntrySize * 10 / 9)
	key := make([]byte, 20)
	name := func(i int) []byte { return fmt.Appendf(key[:0], "customer-%011d", i) }
	b.Run("Put/1M", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if i%keys == 0 {
				m.Clear()
			}
			m.Put(name(i%keys), topic.Offset(i))
		}
	})
	for i := range keys {
		m.Put(name(i), topic.Offset(i))
	}
	b.Run("Newest/1M", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			m.Newest(name(i * 7919 % (2 * keys)))
		}
	})
}
